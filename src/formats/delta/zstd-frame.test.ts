import { zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { unzstd, unzstdAtOnce } from './zstd-frame.ts';

const first = Buffer.alloc(300_000, 'one');
const second = Buffer.from('two');
const frame = zstdCompressSync(first);

async function read(...chunks: Uint8Array[]): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of unzstd('d', chunks)) pieces.push(piece);
  return Buffer.concat(pieces);
}

test('all frames of a delta count, wherever chunks end', async () => {
  const file = Buffer.concat([frame, zstdCompressSync(second), frame]);
  const whole = Buffer.concat([first, second, first]);
  for (const cut of [0, 1, frame.length - 1, frame.length, frame.length + 1, file.length]) {
    const contents = await read(file.subarray(0, cut), file.subarray(cut));
    expect(contents.equals(whole), `${cut}`).toBe(true);
  }
});

test('bytes after a frame count as damage', async () => {
  const behind = Buffer.from('behind');
  const damaged = { code: 'DELTA_ZSTD' };
  await expect(read(frame, behind)).rejects.toMatchObject(damaged);
  await expect(read(Buffer.concat([frame, behind]))).rejects.toMatchObject(damaged);
  for (const tail of [behind, frame]) {
    const file = Buffer.concat([frame, tail]);
    expect(() => unzstdAtOnce('r', file, 1 << 20)).toThrow(expect.objectContaining(damaged));
  }
  expect(unzstdAtOnce('r', frame, 1 << 20)?.equals(first)).toBe(true);
  expect(unzstdAtOnce('r', frame, 1000)).toBeUndefined();
});
