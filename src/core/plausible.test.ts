import { execa } from 'execa';
import { afterEach, expect, test } from 'vitest';
import { checkRoom, checkSize, limitSizes } from './plausible.ts';

afterEach(() => limitSizes(undefined));

test('a size that no image has is refused, unless the limit is raised', () => {
  checkSize('the disk', 100 * 2 ** 30);
  expect(() => checkSize('the disk', 16 * 2 ** 40)).toThrow(
    expect.objectContaining({ kind: 'unsupported', code: 'SIZE_LIMIT' }),
  );
  expect(() => checkSize('the disk', Number.NaN)).toThrow('more than the limit');
  limitSizes(32 * 2 ** 40);
  checkSize('the disk', 16 * 2 ** 40);
});

test('a file that does not fit on the disk is refused', async () => {
  await checkRoom('/tmp', 1, 'a byte');
  await expect(checkRoom('/tmp', 2 ** 60, 'the disk')).rejects.toMatchObject({
    kind: 'io',
    code: 'DISK_FULL',
    message: expect.stringContaining('no room for the disk'),
  });
  await expect(checkRoom('/nowhere', 1, 'a byte')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  // /proc has no blocks at all, and does not mean that it is full.
  expect((await execa('stat', ['-f', '-c', '%b', '/proc'])).stdout).toBe('0');
  await checkRoom('/proc', 2 ** 60, 'the disk');
});
