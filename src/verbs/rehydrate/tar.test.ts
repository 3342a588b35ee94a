import { once } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { noise } from '../../../test/support/synthetic-bundle.ts';
import { tarWriter } from './tar.ts';

test('GNU tar reads the archive, including holes', async () => {
  const out = new PassThrough();
  const listing = execa('tar', ['-tvf', '-', '--full-time'], {
    input: out,
    env: { TZ: 'UTC' },
  });
  await using tar = tarWriter(out);
  const bytes = noise(300_000, 't');
  await tar.add('a.bin', bytes.length, async (sink) => {
    for (let at = 0; at < bytes.length; at += 65_536)
      await sink.write(bytes.subarray(at, at + 65_536));
  });
  await tar.add('zeros.bin', 5_000_000, (sink) => sink.zeros(5_000_000));
  await tar.add('empty', 0, async () => {});
  await tar.finish();
  out.end();
  const { stdout } = await listing;
  expect(stdout.split('\n').map((line) => line.replace(/\s+/g, ' '))).toEqual([
    '-rw-r--r-- 0/0 300000 1970-01-01 00:00:00 a.bin',
    '-rw-r--r-- 0/0 5000000 1970-01-01 00:00:00 zeros.bin',
    '-rw-r--r-- 0/0 0 1970-01-01 00:00:00 empty',
  ]);
});

test('a size beyond 8 GiB has a header that GNU tar understands', async () => {
  const size = 20 * 2 ** 30;
  const out = new PassThrough();
  const chunks: Buffer[] = [];
  out.on('data', (chunk: Buffer) => chunks.push(chunk));
  {
    await using tar = tarWriter(out);
    await expect(
      tar.add('big', size, async (sink) => {
        await sink.zeros(1024);
        throw new Error('enough');
      }),
    ).rejects.toThrow('enough');
  }
  const { stdout } = await execa('tar', ['-tvf', '-'], {
    input: Buffer.concat(chunks),
    reject: false,
  });
  expect(stdout).toContain(`${size}`);
});

test('too few bytes are an error, not a bad archive', async () => {
  const out = new PassThrough();
  out.resume();
  await using tar = tarWriter(out);
  await expect(tar.add('a', 10, (sink) => sink.write(Buffer.from('short')))).rejects.toThrow();
});

test('a reader that goes away ends the writing', async () => {
  const out = new Writable({
    highWaterMark: 1,
    write(_chunk, _encoding, done) {
      done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    },
  });
  const failed = once(out, 'error').catch((error: unknown) => error);
  await using tar = tarWriter(out);
  await expect(tar.add('a', 50_000_000, (sink) => sink.zeros(50_000_000))).rejects.toMatchObject({
    code: 'EPIPE',
  });
  await failed;
});
