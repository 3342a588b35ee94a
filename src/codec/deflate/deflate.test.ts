import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync, inflateRawSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { runsToBytes } from '../../core/io/disk-run.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { decodeVmdk } from '../vmdk/decode.ts';
import { inlinePool } from '../workers/pool.ts';
import { deflateStream, loadDeflate } from './deflater.ts';
import { IMPLEMENTATIONS, type Implementation, isGo, LIBRARIES } from './implementations.ts';
import { fileOf } from './module.ts';
import {
  DEFAULT_PARAMS,
  type DeflateParams,
  deflateParamsField,
  PIGZ_DICTIONARY,
} from './params.ts';

const here = new URL('.', import.meta.url);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test('the modules are the ones of SHA256SUMS, one for each implementation', () => {
  const read = (name: string) => readFileSync(new URL(`wasm/${name}`, here));
  const sums = ['SHA256SUMS', 'SHA256SUMS.go'].flatMap((name) =>
    read(name).toString().trim().split('\n'),
  );
  const files = readdirSync(new URL('wasm/', here)).filter((name) => /\.wasm(\.zst)?$/.test(name));
  const modules = new Set(IMPLEMENTATIONS.map((name) => fileOf(name)));
  expect(files.sort()).toEqual([...modules].sort());
  const actual = files.map((name) => {
    const bytes = name.endsWith('.zst') ? zstdDecompressSync(read(name)) : read(name);
    return `${sha256(bytes)}  ${name.replace(/\.zst$/, '')}`;
  });
  expect(actual.sort()).toEqual(sums.sort());
});

/** A line of native-digests.txt: `zlib-1.3.2 DIGEST  LEVEL,WINDOW_BITS,MEM_LEVEL,STRATEGY`. */
interface NativeDigest {
  readonly implementation: string;
  readonly digest: string;
  readonly params: DeflateParams;
}

function nativeDigests(): NativeDigest[] {
  const text = readFileSync(new URL('native-digests.txt', here), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [implementation = '', digest = '', numbers = ''] = line.split(/ +/);
      const [level = 0, windowBits = 0, memLevel = 0, strategy = 0] = numbers
        .split(',')
        .map(Number);
      const format = windowBits < 0 ? 'raw' : windowBits > 15 ? 'gzip' : 'zlib';
      const params = v.parse(deflateParamsField, {
        implementation,
        format,
        level,
        windowBits: format === 'gzip' ? windowBits - 16 : Math.abs(windowBits),
        memLevel,
        strategy,
      });
      return { implementation, digest, params };
    });
}

describe('same bytes as native builds with all their SIMD', () => {
  test.each(LIBRARIES)('%s', async (implementation) => {
    const sample = await contentsOf('vmdk/zlib-ng-2.2.4.vmdk');
    const deflater = await loadDeflate(implementation);
    const native = nativeDigests().filter((line) => line.implementation === implementation);
    expect(native.length).toBeGreaterThan(20);
    for (const { params, digest } of native) {
      expect({ params, digest: sha256(deflater.compress(sample, params)) }).toEqual({
        params,
        digest,
      });
    }
  });
});

async function contentsOf(path: string): Promise<Buffer> {
  const decoding = await decodeVmdk(memorySource(golden(path)), { pool: inlinePool() });
  const pieces: Buffer[] = [];
  for await (const bytes of runsToBytes(decoding.disk())) pieces.push(Buffer.from(bytes));
  return Buffer.concat(pieces);
}

const INFLATE = { zlib: inflateSync, raw: inflateRawSync, gzip: gunzipSync };

const params = fc
  .record({
    implementation: fc.constantFrom(...IMPLEMENTATIONS),
    format: fc.constantFrom('zlib' as const, 'raw' as const, 'gzip' as const),
    level: fc.nat(9),
    windowBits: fc.integer({ min: 9, max: 15 }),
    memLevel: fc.integer({ min: 1, max: 9 }),
    strategy: fc.nat(4),
    blockSize: fc.integer({ min: 16_385, max: 100_000 }),
  })
  .map(({ blockSize, ...p }): DeflateParams => {
    if (p.implementation === 'pigz') {
      return { ...p, format: 'raw', windowBits: 15, blockSize: blockSize + PIGZ_DICTIONARY };
    }
    if (!isGo(p.implementation)) return p;
    const inBlocks = p.implementation !== 'go-1.26' && p.level % 2 === 0;
    return { ...p, format: 'raw', ...(inBlocks ? { blockSize } : {}) };
  });
/** Runs of bytes, some of them longer than a buffer of the module. */
const input = fc
  .array(fc.record({ byte: fc.nat(255), length: fc.integer({ min: 0, max: 300_000 }) }), {
    maxLength: 12,
  })
  .map((runs) =>
    Buffer.concat(runs.map(({ byte, length }) => Buffer.alloc(length, byte % 7 ? byte : 'text '))),
  );

test('deflated data inflates again, at once or in pieces', async () => {
  const deflaters = new Map(
    await Promise.all(
      IMPLEMENTATIONS.map(async (name) => [name, await loadDeflate(name)] as const),
    ),
  );
  const compress = (name: Implementation, bytes: Buffer, chosen: DeflateParams) =>
    Buffer.from(deflaters.get(name)?.compress(bytes, chosen) ?? []);
  await fc.assert(
    fc.asyncProperty(params, input, fc.integer({ min: 1, max: 200_000 }), async (p, all, piece) => {
      const bytes = isGo(p.implementation) ? all.subarray(0, 500_000) : all;
      const whole = compress(p.implementation, bytes, p);
      expect(INFLATE[p.format](whole).equals(bytes)).toBe(true);
      expect(compress(p.implementation, bytes, p)).toEqual(whole);

      // A module in Go takes a while to start, and so does each call of it.
      const step = isGo(p.implementation) ? Math.max(piece, 20_000) : piece;
      const shared = isGo(p.implementation) ? deflaters.get(p.implementation) : undefined;
      const stream = shared?.stream(p) ?? (await deflateStream(p));
      const pieces: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += step) {
        for (const out of stream.push(bytes.subarray(at, at + step))) pieces.push(Buffer.from(out));
      }
      for (const out of stream.finish()) pieces.push(Buffer.from(out));
      expect(INFLATE[p.format](Buffer.concat(pieces)).equals(bytes)).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test('vanilla zlib does not mind how its input is cut', async () => {
  const bytes = Buffer.alloc(3_000_000);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * i) >> (i % 13);
  const deflater = await loadDeflate('zlib-1.3.2');
  const chosen: DeflateParams = { ...DEFAULT_PARAMS, format: 'gzip' };
  const stream = await deflateStream(chosen);
  const pieces: Buffer[] = [];
  for (let at = 0, step = 1; at < bytes.length; at += step, step = (step * 7) % 100_003) {
    for (const out of stream.push(bytes.subarray(at, at + step))) pieces.push(Buffer.from(out));
  }
  for (const out of stream.finish()) pieces.push(Buffer.from(out));
  expect(Buffer.concat(pieces).equals(deflater.compress(bytes, chosen))).toBe(true);
});

test('impossible parameters are a usage error', async () => {
  const deflater = await loadDeflate('zlib-1.3.2');
  const wrong = [
    { level: 10 },
    { windowBits: 16 },
    { memLevel: 0 },
    { implementation: IMPLEMENTATIONS[1] },
  ];
  for (const more of wrong) {
    expect(() => deflater.compress(Buffer.from('x'), { ...DEFAULT_PARAMS, ...more })).toThrow(
      expect.objectContaining({ kind: 'usage', code: 'DEFLATE_PARAMS' }),
    );
  }
  const go = await loadDeflate('klauspost-1.18.6');
  const right = { ...DEFAULT_PARAMS, implementation: 'klauspost-1.18.6', format: 'raw' } as const;
  go.compress(Buffer.from('x'), right);
  for (const more of [{ level: 10 }, { format: 'zlib' as const }, { blockSize: 16_384 }]) {
    expect(() => go.compress(Buffer.from('x'), { ...right, ...more })).toThrow(
      expect.objectContaining({ code: 'DEFLATE_PARAMS' }),
    );
  }
  const parses = (more: object) => v.is(deflateParamsField, { ...right, ...more });
  expect(parses({ blockSize: 1 << 20 })).toBe(true);
  for (const more of [
    { format: 'gzip' },
    { blockSize: 1 },
    { implementation: 'zlib-1.3.2', blockSize: 1 << 20 },
  ]) {
    expect(parses(more)).toBe(false);
  }
});
