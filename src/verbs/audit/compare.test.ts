import fc from 'fast-check';
import { expect, test } from 'vitest';
import { comparingSink } from './compare.ts';

async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function compare(ours: Buffer, theirs: Buffer, a = 1000, b = 777) {
  const sink = comparingSink(inChunks(theirs, b));
  for await (const chunk of inChunks(ours, a)) await sink.write(chunk);
  return sink.finish();
}

test('equal files have no difference, however they are cut', async () => {
  const bytes = Buffer.alloc(20_000, 7);
  expect(await compare(bytes, bytes)).toBeUndefined();
  expect(await compare(Buffer.alloc(0), Buffer.alloc(0))).toBeUndefined();
});

test('offsets, bytes and runs are those of a naive comparison', async () => {
  const file = fc.uint8Array({ minLength: 0, maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(file, file, fc.nat({ max: 90 }), async (x, y, cut) => {
      const ours = Buffer.from(x.map((byte) => byte & 1));
      const theirs = Buffer.from(y.map((byte) => byte & 1));
      const wrong: number[] = [];
      for (let i = 0; i < Math.max(ours.length, theirs.length); i++) {
        if (ours[i] !== theirs[i]) wrong.push(i);
      }
      const found = await compare(ours, theirs, cut + 1, 91 - cut);
      expect(found?.bytes ?? 0).toBe(wrong.length);
      expect(found?.firstOffset).toBe(wrong[0]);
      expect(found?.lastOffset).toBe(wrong.at(-1));
      if (found) {
        expect(found).toMatchObject({ ourSize: ours.length, releasedSize: theirs.length });
        expect(found.runs).toEqual([{ start: wrong[0], end: (wrong.at(-1) ?? 0) + 1 }]);
      }
    }),
  );
});

test('differences far apart are runs of their own; zeros are compared as bytes', async () => {
  const theirs = Buffer.alloc(100_000);
  theirs[10] = 1;
  theirs[12] = 1;
  theirs[50_000] = 1;
  const sink = comparingSink(inChunks(theirs, 4096));
  await sink.zeros(100_000);
  expect(await sink.finish()).toMatchObject({
    bytes: 3,
    runs: [
      { start: 10, end: 13 },
      { start: 50_000, end: 50_001 },
    ],
  });
});
