import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { survive } from '../../../test/golden/mutate.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { type CpioMember, cpioMembers, encodeCpioHeader, safeMemberPath } from './cpio.ts';

async function members(bytes: Uint8Array): Promise<CpioMember[]> {
  const found: CpioMember[] = [];
  for await (const member of cpioMembers(memorySource(bytes, 'an archive'))) found.push(member);
  return found;
}

function archive(files: readonly (readonly [string, Uint8Array])[]): Buffer {
  const parts = files.flatMap(([name, data]) => [
    encodeCpioHeader(name, { size: data.length }),
    data,
    Buffer.alloc(-data.length & 3),
  ]);
  return Buffer.concat([...parts, encodeCpioHeader('TRAILER!!!', { mode: 0 })]);
}

const data = (bytes: Uint8Array, { offset, size }: CpioMember) =>
  Buffer.from(bytes.subarray(offset, offset + size)).toString();

describe('archives of GNU cpio and dracut-cpio', () => {
  test('concatenated archives', async () => {
    const bytes = golden('initrd/redundant.img');
    const found = await members(bytes);
    expect(found.map(({ name, archive }) => [name, archive])).toEqual(
      [0, 1, 2].flatMap((i) => [
        ['data', i],
        ['data/file', i],
      ]),
    );
    expect(found.filter((m) => m.name === 'data/file').map((m) => data(bytes, m))).toEqual([
      'first\n',
      'second\n',
      'third\n',
    ]);
  });

  test('names padded so that the data is aligned', async () => {
    const bytes = golden('initrd/padded-names.img');
    const found = await members(bytes);
    const files = found.filter(({ size }) => size > 0);
    expect(files.map(({ name, offset }) => [name, offset % 4096])).toEqual([
      ['dir/world', 0],
      ['dir/hello', 0],
    ]);
    expect(files.map((member) => data(bytes, member))).toEqual([
      'q'.repeat(4500),
      'z'.repeat(5000),
    ]);
  });

  test('a compressed archive after plain ones is named', async () => {
    const bytes = golden('initrd/compressed.img');
    const seen: string[] = [];
    const walk = async () => {
      for await (const { name } of cpioMembers(memorySource(bytes))) seen.push(name);
    };
    await expect(walk()).rejects.toMatchObject({
      code: 'CPIO_COMPRESSED',
      context: { compression: 'gzip' },
    });
    expect(seen).toEqual(['uncompressed-1', 'uncompressed-1/world', 'uncompressed-1/hello']);
  });

  test.each([
    ['traversal-absolute.img', '/etc/adjtime'],
    ['traversal-relative.img', '../f'],
  ])('%s: the name is data, and no path', async (file, name) => {
    const found = await members(golden(`initrd/${file}`));
    expect(found.map((member) => member.name)).toEqual([name]);
    expect(() => safeMemberPath(name)).toThrow('not a safe relative path');
  });
});

test('safe paths', () => {
  expect(safeMemberPath('./etc//coreos-live-rootfs')).toBe('etc/coreos-live-rootfs');
  expect(safeMemberPath('a..b/...')).toBe('a..b/...');
  for (const name of ['.', 'a/../b', '..', '/', 'a\nb']) {
    expect(() => safeMemberPath(name)).toThrow();
  }
});

test('any archive survives a round trip, with zeros around', async () => {
  const name = fc.stringMatching(/^[a-z0-9._/-]{1,40}$/);
  const file = fc.tuple(name, fc.uint8Array({ maxLength: 50 }));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(file, { maxLength: 5 }), { maxLength: 4 }),
      fc.nat(700),
      async (archives, padding) => {
        const bytes = Buffer.concat(
          archives.flatMap((files) => [archive(files), Buffer.alloc(padding * 4)]),
        );
        const found = await members(bytes);
        expect(
          found.map((m) => [m.archive, m.name, bytes.toString('hex', m.offset, m.offset + m.size)]),
        ).toEqual(
          archives.flatMap((files, i) =>
            files.map(([name, content]) => [i, name, Buffer.from(content).toString('hex')]),
          ),
        );
      },
    ),
  );
});

test('a range of zeros has no members', async () => {
  expect(await members(Buffer.alloc(300_000))).toEqual([]);
});

test('the error for every truncation has its offset', async () => {
  const whole = archive([
    ['a', Buffer.from('hello')],
    ['b/c', Buffer.from('world!')],
  ]);
  const end = whole.length - 3; // the trailer's padding may be missing
  for (let keep = 1; keep < end; keep++) {
    await expect(members(whole.subarray(0, keep))).rejects.toMatchObject({
      kind: 'format',
      context: { offset: expect.any(Number) },
    });
  }
});

test.each<[string, (bytes: Buffer) => unknown, string]>([
  ['a wrong magic', (b) => b.write('070707'), 'no newc magic'],
  ['a field that is no number', (b) => b.write('0x000001', 6), 'hexadecimal'],
  ['a name without end', (b) => b.write('aaaa', 110), 'no end'],
  ['an endless name', (b) => b.write('0000FFFF', 94), 'name of 65535'],
  ['data past the end', (b) => b.write('FFFFFFFF', 54), 'extends to'],
])('%s is refused', async (_, damage, message) => {
  const bytes = archive([['aaa', Buffer.from('hello')]]);
  damage(bytes);
  await expect(members(bytes)).rejects.toThrow(message);
});

test('10,000 mutations: an answer or a RehydrateError', async () => {
  const rejected = await survive(golden('initrd/redundant.img').subarray(0, 1500), 10_000, members);
  expect(rejected).toBeGreaterThan(3000);
});
