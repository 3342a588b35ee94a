import { createHash } from 'node:crypto';
import { mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CancelledError, FormatError, IoError } from '../errors.ts';
import { writeAtomically } from './atomic.ts';
import { copyBuffers, copyRange } from './copy.ts';
import { createHasher, hashingHere } from './digest.ts';
import { hashFile } from './hash-file.ts';
import { hashingSink, nullSink, streamSink } from './sink.ts';
import { openSource } from './source.ts';
import { isZero, zeroRuns } from './zero.ts';

const MIB = 1 << 20;
let folder: string;
const path = (name: string) => join(folder, name);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'io-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('writeAtomically', () => {
  test('the complete file appears, and nothing else', async () => {
    await writeAtomically(path('a'), (sink) => sink.write(Buffer.from('hello')));
    expect(await readFile(path('a'), 'utf8')).toBe('hello');
    expect(await readdir(folder)).toEqual(['a']);
  });

  test('a failure leaves the old file and no part', async () => {
    await writeFile(path('a'), 'old');
    const attempt = writeAtomically(path('a'), async (sink) => {
      await sink.write(Buffer.from('new'));
      throw new Error('boom');
    });
    await expect(attempt).rejects.toThrow('boom');
    expect(await readFile(path('a'), 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['a']);
  });

  test('an abort at the last moment leaves nothing', async () => {
    const controller = new AbortController();
    const attempt = writeAtomically(path('a'), async () => controller.abort(), {
      signal: controller.signal,
    });
    await expect(attempt).rejects.toBeInstanceOf(CancelledError);
    expect(await readdir(folder)).toEqual([]);
  });

  test('overwrite: false refuses an existing file', async () => {
    await writeFile(path('a'), 'old');
    const attempt = writeAtomically(path('a'), (sink) => sink.write(Buffer.from('x')), {
      overwrite: false,
    });
    await expect(attempt).rejects.toMatchObject({ code: 'EXISTS' });
    expect(await readFile(path('a'), 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['a']);
  });

  test('a folder that does not exist is an IoError that names it', async () => {
    const attempt = writeAtomically(path('no/such/file'), async () => {});
    await expect(attempt).rejects.toBeInstanceOf(IoError);
    await expect(attempt).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('a full device is an IoError DISK_FULL', async () => {
    const handle = await open('/dev/full', 'w');
    const { fileSink } = await import('./sink.ts');
    try {
      const sink = fileSink(handle, '/dev/full');
      await expect(sink.write(Buffer.from('x'))).rejects.toMatchObject({ code: 'DISK_FULL' });
    } finally {
      await handle.close();
    }
  });

  test('zeros cost nothing on disk, given as zeros or as bytes', async () => {
    await writeAtomically(path('a'), async (sink) => {
      await sink.zeros(100 * MIB);
      await sink.write(Buffer.alloc(8 * MIB));
      await sink.write(Buffer.from('end'));
    });
    const { size, blocks } = await stat(path('a'));
    expect(size).toBe(108 * MIB + 3);
    expect(blocks * 512).toBeLessThan(64 * 1024);
  });

  test('any sequence of writes and zeros gives those bytes', async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 9000 }),
      fc.nat(20_000).map((n) => new Uint8Array(n)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 8 }), fc.boolean(), async (pieces, holes) => {
        await writeAtomically(path('p'), async (sink) => {
          for (const p of pieces) {
            if (holes && isZero(p)) await sink.zeros(p.length);
            else await sink.write(p);
          }
        });
        expect((await readFile(path('p'))).equals(Buffer.concat(pieces))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});

describe('Source', () => {
  test('knows its holes', async () => {
    await writeFile(path('s'), Buffer.alloc(4096, 1));
    await truncate(path('s'), 10 * MIB);
    const handle = await open(path('s'), 'r+');
    await handle.write(Buffer.from('x'), 0, 1, 5 * MIB);
    await handle.close();
    await using source = await openSource(path('s'));
    expect(source.nextData(0)).toEqual({ start: 0, end: 4096 });
    expect(source.nextData(4096)).toEqual({ start: 5 * MIB, end: 5 * MIB + 4096 });
    expect(source.nextData(5 * MIB + 100)?.start).toBe(5 * MIB + 100);
    expect(source.nextData(6 * MIB)).toBeUndefined();
    expect(source.nextData(0)).toEqual({ start: 0, end: 4096 }); // going back works as well
  });

  test('a read past the end is a FormatError that says where', async () => {
    await writeFile(path('s'), 'abc');
    await using source = await openSource(path('s'));
    await expect(source.read(Buffer.alloc(3), 1)).rejects.toBeInstanceOf(FormatError);
    await expect(source.read(Buffer.alloc(3), 1)).rejects.toMatchObject({
      code: 'SHORT_READ',
      context: { offset: 1, length: 3, size: 3 },
    });
    expect(() => source.readSync(Buffer.alloc(1), 3)).toThrow(FormatError);
  });

  test('a missing file and a folder are distinguished', async () => {
    await expect(openSource(path('none'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(openSource(folder)).rejects.toMatchObject({ code: 'NOT_A_FILE' });
  });
});

describe('hashing', () => {
  test('zeros hash as bytes do', () => {
    const hasher = createHasher();
    hasher.update(Buffer.from('a'));
    hasher.zeros(3 * MIB + 17);
    expect(hasher.bytes).toBe(3 * MIB + 18);
    expect(hasher.digest()).toBe(
      sha256(Buffer.concat([Buffer.from('a'), Buffer.alloc(3 * MIB + 17)])),
    );
  });

  test('hashFile of a sparse file equals the hash of its bytes', async () => {
    await writeFile(path('h'), Buffer.alloc(70_000, 7));
    await truncate(path('h'), 9 * MIB + 5);
    const { sha256: digest, size } = await hashFile(path('h'));
    expect(size).toBe(9 * MIB + 5);
    expect(digest).toBe(sha256(await readFile(path('h'))));
  });

  test('an abort stops a long run of zeros', async () => {
    const controller = new AbortController();
    const sink = hashingSink(nullSink(), hashingHere(controller.signal));
    const work = sink.zeros(2 ** 40); // would take minutes
    setTimeout(() => controller.abort(), 50);
    await expect(work).rejects.toBeInstanceOf(CancelledError);
  });
});

test('copyRange copies any part of a sparse file', async () => {
  const bytes = Buffer.alloc(5 * MIB);
  bytes.fill(3, 100, 50_000);
  bytes.fill(4, 3 * MIB, 4 * MIB + 77);
  await writeAtomically(path('c'), (sink) => sink.write(bytes));
  await using source = await openSource(path('c'));
  await fc.assert(
    fc.asyncProperty(fc.nat(5 * MIB), fc.nat(5 * MIB), async (a, b) => {
      const [start, end] = a < b ? [a, b] : [b, a];
      const sink = hashingSink(nullSink());
      await copyRange(source, start, end - start, sink, copyBuffers());
      expect(await sink.digest()).toBe(sha256(bytes.subarray(start, end)));
    }),
    { numRuns: 40 },
  );
});

describe('streamSink', () => {
  test('honours back-pressure and keeps no reference to the chunk', async () => {
    const stream = new PassThrough({ highWaterMark: 1024 });
    const received = (async () => Buffer.concat(await stream.toArray()))();
    const sink = streamSink(stream);
    const chunk = Buffer.alloc(5000);
    for (let i = 0; i < 10; i++) await sink.write(chunk.fill(i));
    await sink.zeros(3 * MIB);
    stream.end();
    const all = await received;
    expect(all.length).toBe(50_000 + 3 * MIB);
    for (let i = 0; i < 10; i++) expect(all[i * 5000 + 4999]).toBe(i);
  });

  test('an error of the stream comes out of write', async () => {
    const stream = new PassThrough({ highWaterMark: 10 });
    stream.on('error', () => {});
    const sink = streamSink(stream);
    const write = sink.write(Buffer.alloc(100));
    stream.destroy(new Error('EPIPE'));
    await expect(write).rejects.toThrow('EPIPE');
  });
});

test('zeroRuns splits on the block grid of the file', () => {
  const chunk = Buffer.alloc(10_000);
  chunk[5000] = 1;
  expect([...zeroRuns(chunk, 100, 4096)]).toEqual([
    { zero: true, start: 0, end: 3996 },
    { zero: false, start: 3996, end: 8092 },
    { zero: true, start: 8092, end: 10_000 },
  ]);
});
