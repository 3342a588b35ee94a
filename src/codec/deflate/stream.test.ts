import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { memorySink } from '../../../test/support/memory-sink.ts';
import { noise, sha256Of } from '../../../test/support/synthetic-bundle.ts';
import { runsToBytes } from '../../core/io/disk-run.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { nullSink } from '../../core/io/sink.ts';
import { splice } from '../splice/codec.ts';
import { inlinePool } from '../workers/pool.ts';
import { deflate } from './codec.ts';
import { type DeflateStream, deflateStream } from './deflater.ts';
import { GO } from './implementations.ts';

const OCI = new URL('../../../test/golden/oci/', import.meta.url);

const context = { pool: inlinePool() };

/** Something of everything: machine code, text, noise, zeros; several blocks, windows and buffers. */
const SAMPLE = Buffer.concat([
  golden('iso/live.iso'),
  Buffer.alloc(900_000, 'text that deflates well, though not too well '),
  noise(300_000, 's'),
  Buffer.alloc(3_000_000),
  Buffer.from(JSON.stringify(Array.from({ length: 60_000 }, (_, i) => (i * i) % 9973))),
]);

async function takeApart(file: Buffer) {
  const outer = await splice.open(memorySource(file, 'test.gz'), context);
  if (outer.payload.kind !== 'source') throw new Error('a part of the file was expected');
  expect(outer.payload.next).toBe('deflate');
  const inner = await deflate.open(outer.payload.source, context);
  const pieces: Buffer[] = [];
  if (inner.payload.kind !== 'file') throw new Error('a file was expected');
  for await (const bytes of runsToBytes(inner.payload.runs())) {
    pieces.push(Buffer.from(bytes));
  }
  return {
    contents: Buffer.concat(pieces),
    outer: (await outer.recipe()).bytes,
    inner: await inner.recipe(),
  };
}

async function putTogether(outer: Uint8Array, inner: Uint8Array, contents: Buffer) {
  const sink = memorySink();
  const around = splice.parse(outer).encoder(sink, context);
  const encoder = deflate.parse(inner).encoder(around, context);
  for (let at = 0; at < contents.length; at += 70_000) {
    const piece = contents.subarray(at, at + 70_000);
    if (piece.every((byte) => byte === 0)) await encoder.zeros(piece.length);
    else await encoder.write(piece);
  }
  await encoder.finish();
  await around.finish();
  return sink.bytes();
}

/** All that a stream makes of `bytes`. */
function all(stream: DeflateStream, bytes: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (const piece of stream.push(bytes)) pieces.push(Buffer.from(piece));
  for (const piece of stream.finish()) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

const gzip = (bytes: Buffer, ...options: string[]) =>
  execFileSync('gzip', ['-c', ...options], { input: bytes, maxBuffer: 1 << 28 });

describe('GNU gzip', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9])('level %i: same contents, same file', async (level) => {
    const file = gzip(SAMPLE, `-${level}`);
    const { contents, outer, inner } = await takeApart(file);
    expect(contents.equals(SAMPLE)).toBe(true);
    expect(inner.requires).toEqual(['gzip']);
    expect((await putTogether(outer, inner.bytes, contents)).equals(file)).toBe(true);
    expect(outer.length + inner.bytes.length).toBeLessThan(500);
  });

  test.each([
    ['whatever it compresses', 200_000, 40],
    // It looks for matches beyond the end of its input, so the last bytes are where it differs from zlib.
    ['however little', 20, 400],
  ])('%s', async (_what, max, numRuns) => {
    const piece = fc.record({
      kind: fc.constantFrom('text', 'noise', 'zeros', 'iso'),
      length: fc.integer({ min: 1, max }),
      seed: fc.nat(1000),
    });
    const iso = golden('iso/live.iso');
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 9 }),
        async (list, level) => {
          const bytes = Buffer.concat(
            list.map(({ kind, length, seed }) => {
              if (kind === 'noise') return noise(length, String(seed));
              if (kind === 'iso') return iso.subarray(seed * 300, seed * 300 + length);
              return Buffer.alloc(length, kind === 'text' ? `some text ${seed} ` : 0);
            }),
          );
          const stream = await deflateStream({
            ...{ implementation: 'gzip', format: 'raw', windowBits: 15, memLevel: 9, strategy: 0 },
            level,
          });
          const made = all(stream, bytes);
          expect(gzip(bytes, '-n', `-${level}`).subarray(10, -8).equals(made)).toBe(true);
        },
      ),
      { numRuns },
    );
  });

  test('two matches for the last bytes: the one that extends further', async () => {
    const bytes = Buffer.from('\0\0\0\0\0s\0\0\0');
    const file = gzip(bytes, '-n', '-1');
    // zlib copies the three zeros from four bytes before, GNU gzip from five.
    expect(file.subarray(10, -8).toString('hex')).toBe('6360008262200100');
    const { contents, outer, inner } = await takeApart(file);
    expect(inner.requires).toEqual(['gzip']);
    expect((await putTogether(outer, inner.bytes, contents)).equals(file)).toBe(true);
  });

  test('a header with a name', async () => {
    const file = gzip(SAMPLE.subarray(0, 700_000), '-n');
    const named = Buffer.concat([
      file.subarray(0, 10),
      Buffer.from('disk.raw\0'),
      file.subarray(10),
    ]);
    named[3] = 8;
    const { contents, outer, inner } = await takeApart(named);
    expect((await putTogether(outer, inner.bytes, contents)).equals(named)).toBe(true);
  });
});

test("Info-ZIP's zip deflates as GNU gzip does", async () => {
  const script = 'cd "$(mktemp -d)" && cat >image && zip -q -6 - image && rm -r "$PWD"';
  const zip = execFileSync('sh', ['-c', script], { input: SAMPLE, maxBuffer: 1 << 28 });
  const deflated = gzip(SAMPLE, '-n', '-6').subarray(10, -8);
  expect(zip.includes(deflated.subarray(0, 100_000))).toBe(true);
});

test('streams made by zlib round-trip too', async () => {
  const stream = await deflateStream({
    ...{ implementation: 'zlib-1.3.2', format: 'gzip', level: 9, windowBits: 15, memLevel: 8 },
    strategy: 0,
  });
  const file = all(stream, SAMPLE);
  const { contents, outer, inner } = await takeApart(file);
  expect(inner.requires).toEqual(['zlib-1.3.2']);
  expect((await putTogether(outer, inner.bytes, contents)).equals(file)).toBe(true);
});

describe("streams that Go's deflaters made on a native processor are reproduced too", () => {
  const layer = readFileSync(new URL('layer.sha256', OCI), 'utf8').trim();
  test.each(GO)('%s', async (implementation) => {
    const file = golden(`oci/${implementation}.gz`);
    const { contents, outer, inner } = await takeApart(file);
    expect(inner.requires).toEqual([implementation]);
    expect(sha256Of(contents)).toBe(layer);
    expect((await putTogether(outer, inner.bytes, contents)).equals(file)).toBe(true);
    expect(outer.length + inner.bytes.length).toBeLessThan(500);
  });
});

describe('files that are not taken apart', () => {
  const refused = (file: Buffer) => expect(takeApart(file)).rejects;

  test('an unknown deflater, the ending of another one, two members, damage', async () => {
    await refused(gzipSync(SAMPLE, { level: 6 })).toMatchObject({ code: 'DEFLATE_UNKNOWN' });
    const one = gzip(SAMPLE.subarray(0, 900_000), '-6');
    await refused(Buffer.concat([one, one])).toMatchObject({ code: 'DEFLATE_UNKNOWN' });
    await refused(one.subarray(0, one.length >> 1)).toMatchObject({ code: 'DEFLATE_DAMAGED' });
    await refused(Buffer.from([0x1f, 0x8b, 8, 0])).toMatchObject({ code: 'GZIP' });
    await refused(
      Buffer.concat([one.subarray(0, 3), Buffer.of(8), Buffer.alloc(200, 'x')]),
    ).toMatchObject({
      code: 'GZIP',
    });
  });

  test('a payload other than the recipe’s', async () => {
    const { contents, inner } = await takeApart(gzip(SAMPLE.subarray(0, 700_000)));
    const encoder = deflate.parse(inner.bytes).encoder(nullSink(), context);
    await expect(encoder.write(noise(contents.length, 'other'))).rejects.toMatchObject({
      code: 'DEFLATE_OTHER_PAYLOAD',
    });
    const short = deflate.parse(inner.bytes).encoder(nullSink(), context);
    await short.write(contents.subarray(1));
    await expect(short.finish()).rejects.toMatchObject({ code: 'SHORT_READ' });
  });
});
