import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sequentialDisk } from './sequential-disk.ts';

/** Ascending reads over a disk, and the pieces in which it is written. */
const scenario = fc.record({
  pieces: fc.array(fc.record({ zeros: fc.boolean(), length: fc.nat(500) }), { maxLength: 20 }),
  reads: fc.array(fc.record({ gap: fc.nat(300), length: fc.nat(700) }), { maxLength: 20 }),
});

test('every ascending read sees the written data, however it is split', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async ({ pieces, reads }) => {
      const disk = Buffer.concat(
        pieces.map(({ zeros, length }, i) =>
          zeros ? Buffer.alloc(length) : Buffer.alloc(length, `piece ${i} `),
        ),
      );
      let at = 0;
      const seen: Buffer[] = [];
      const wanted: Buffer[] = [];
      const sink = sequentialDisk(disk.length, async (reader) => {
        for (const { gap, length } of reads) {
          at += gap;
          if (at + length > disk.length) return;
          const buffer = Buffer.alloc(length, 0xaa);
          await reader.read(buffer, at);
          seen.push(buffer);
          wanted.push(disk.subarray(at, at + length));
          at += length;
        }
      });
      let position = 0;
      for (const { zeros, length } of pieces) {
        if (zeros) await sink.zeros(length);
        else await sink.write(Buffer.from(disk.subarray(position, position + length)));
        position += length;
      }
      await sink.finish();
      expect(seen).toEqual(wanted);
    }),
    { numRuns: 300 },
  );
});

test('an encoder that fails fails the next write and `finish`', async () => {
  const sink = sequentialDisk(100, async (reader) => {
    await reader.read(Buffer.alloc(10), 0);
    throw new Error('no good');
  });
  await sink.write(Buffer.alloc(10));
  await expect(sink.write(Buffer.alloc(90))).rejects.toThrow('no good');
  await expect(sink.finish()).rejects.toThrow('no good');
});

test('a disk that ends early is a short read, even with no read pending', async () => {
  const reading = sequentialDisk(100, (reader) => reader.read(Buffer.alloc(100), 0));
  await reading.write(Buffer.alloc(60));
  await expect(reading.finish()).rejects.toMatchObject({ code: 'SHORT_READ' });
  const idle = sequentialDisk(100, async () => {});
  await idle.write(Buffer.alloc(60));
  await expect(idle.finish()).rejects.toMatchObject({ code: 'SHORT_READ' });
});

test('a huge hole costs nothing', async () => {
  const last = Buffer.alloc(4, 0xaa);
  const sink = sequentialDisk(2 ** 45 + 4, (reader) => reader.read(last, 2 ** 45));
  await sink.zeros(2 ** 45);
  await sink.write(Buffer.from('last'));
  await sink.finish();
  expect(last.toString()).toBe('last');
});
