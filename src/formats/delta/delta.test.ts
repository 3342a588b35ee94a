import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { survive } from '../../../test/golden/mutate.ts';
import { RehydrateError } from '../../core/errors.ts';
import { writeAtomically } from '../../core/io/atomic.ts';
import { createHasher } from '../../core/io/digest.ts';
import { bytesToRuns, type DiskRun } from '../../core/io/disk-run.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { nullSink } from '../../core/io/sink.ts';
import { openSource } from '../../core/io/source.ts';
import { applyDelta } from './apply.ts';
import { encodeDelta, encodeRuns } from './encode.ts';

const run = promisify(execFile);
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'delta-test-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const path = (name: string) => join(folder, name);

async function* chunksOf(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function sha256(bytes: Buffer) {
  const hasher = createHasher();
  hasher.update(bytes);
  return hasher.digest();
}

async function encode(base: Buffer, target: Buffer, chunk = 1 << 16) {
  await writeFile(path('base'), base);
  await using source = await openSource(path('base'));
  const result = await writeAtomically(path('delta.zst'), (sink) =>
    encodeDelta({ base: source, target: chunksOf(target, chunk), sink }),
  );
  return { result, delta: await readFile(path('delta.zst')) };
}

async function apply(delta: Buffer, expected: Buffer) {
  await using base = await openSource(path('base'));
  await writeAtomically(path('out'), (sink) =>
    applyDelta({
      base,
      delta: chunksOf(delta, 4096),
      sink,
      expected: { size: expected.length, sha256: sha256(expected) },
    }),
  );
  return readFile(path('out'));
}

async function rdiffPatch(delta: Buffer): Promise<Buffer> {
  await writeFile(path('delta.zst'), delta);
  await run('sh', [
    '-c',
    'set -e; zstd -q -dc "$1/delta.zst" > "$1/delta"; rdiff -f patch "$1/base" "$1/delta" "$1/rdiff-out"',
    'sh',
    folder,
  ]);
  return readFile(path('rdiff-out'));
}

/** Repeatable noise: the cheapest stand-in for compressed data. */
function noise(length: number, seed: number): Buffer {
  const out = Buffer.alloc(length);
  let state = seed | 1;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    out[i] = state;
  }
  return out;
}

/** A base of noise and zero stretches, and a target spliced from it with edits, moves and zeros. */
const scenario = fc
  .record({
    parts: fc.array(
      fc.record({
        kind: fc.constantFrom('noise', 'zeros' as const),
        length: fc.integer({ min: 1, max: 40_000 }),
      }),
      { maxLength: 8 },
    ),
    splices: fc.array(
      fc.oneof(
        fc.record({
          kind: fc.constant('base' as const),
          from: fc.nat(300_000),
          length: fc.nat(60_000),
        }),
        fc.record({ kind: fc.constant('new' as const), seed: fc.nat(), length: fc.nat(6000) }),
        fc.record({ kind: fc.constant('zeros' as const), length: fc.nat(200_000) }),
        fc.record({
          kind: fc.constant('edit' as const),
          from: fc.nat(300_000),
          length: fc.nat(9000),
        }),
      ),
      { maxLength: 10 },
    ),
    chunk: fc.integer({ min: 1000, max: 200_000 }),
  })
  .map(({ parts, splices, chunk }) => {
    const base = Buffer.concat(
      parts.map((p, i) => (p.kind === 'noise' ? noise(p.length, i + 7) : Buffer.alloc(p.length))),
    );
    const target = Buffer.concat(
      splices.map((s) => {
        if (s.kind === 'zeros') return Buffer.alloc(s.length);
        if (s.kind === 'new') return noise(s.length, s.seed);
        const piece = Buffer.from(base.subarray(s.from, s.from + s.length));
        if (s.kind === 'edit') for (let i = 0; i < piece.length; i += 777) piece[i] = i;
        return piece;
      }),
    );
    return { base, target, chunk };
  });

describe('round trip', () => {
  test('any target comes back exactly, by our applier and by rdiff', async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async ({ base, target, chunk }) => {
        const { result, delta } = await encode(base, target, chunk);
        expect(result.targetSize).toBe(target.length);
        expect(result.targetSha256).toBe(sha256(target));
        expect((await apply(delta, target)).equals(target)).toBe(true);
        expect((await rdiffPatch(delta)).equals(target)).toBe(true);
      }),
      { numRuns: 120 },
    );
  });

  test('the same input gives the same delta', async () => {
    const base = noise(300_000, 1);
    const target = Buffer.concat([base.subarray(5000), noise(5000, 9), Buffer.alloc(70_000)]);
    const { delta } = await encode(base, target, 1000);
    const again = await encode(base, target, 1000);
    expect(again.delta.equals(delta)).toBe(true);
  });
});

test('the delta does not depend on chunks, zeros or holes of target and base', async () => {
  const deltaOf = async (source: string, target: AsyncIterable<DiskRun>) => {
    await using base = await openSource(source);
    const pieces: Buffer[] = [];
    const sink = {
      write: async (chunk: Uint8Array) => void pieces.push(Buffer.from(chunk)),
      zeros: async (length: number) => void pieces.push(Buffer.alloc(length)),
    };
    await encodeRuns({ base, target, sink });
    return Buffer.concat(pieces);
  };
  async function* asRuns(target: Buffer, chunk: number): AsyncGenerator<DiskRun> {
    for await (const bytes of chunksOf(target, chunk)) {
      const zero = bytes.every((byte) => byte === 0);
      yield zero ? { kind: 'zeros', length: bytes.length } : { kind: 'data', bytes };
    }
  }
  await fc.assert(
    fc.asyncProperty(scenario, fc.integer({ min: 50, max: 9000 }), async (one, cut) => {
      const { base, target, chunk } = one;
      await writeFile(path('dense'), base);
      await run('cp', ['--sparse=always', path('dense'), path('sparse')]);
      const delta = await deltaOf(path('dense'), bytesToRuns(chunksOf(target, chunk)));
      const again = await deltaOf(path('sparse'), asRuns(target, cut));
      expect(again.equals(delta)).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test('a hole of a terabyte costs no time', async () => {
  await writeFile(path('base'), noise(50_000, 2));
  await truncate(path('base'), 2 ** 32);
  await using base = await openSource(path('base'));
  async function* target(): AsyncGenerator<DiskRun> {
    yield { kind: 'data', bytes: noise(50_000, 2) };
    yield { kind: 'zeros', length: 2 ** 40 };
    yield { kind: 'data', bytes: noise(50_000, 2) };
  }
  const made = await encodeRuns({ base, target: target(), sink: nullSink() });
  expect(made).toMatchObject({ targetSize: 2 ** 40 + 100_000, literalBytes: 0 });
});

describe('size', () => {
  const base = Buffer.concat([noise(1_000_000, 3), Buffer.alloc(100_000), noise(500_000, 4)]);

  test('a one-byte edit costs one literal byte', async () => {
    const target = Buffer.from(base);
    target[123_456] = (target[123_456] ?? 0) ^ 0xff;
    const { result, delta } = await encode(base, target);
    expect(result.literalBytes).toBe(1);
    expect(delta.length).toBeLessThan(64);
  });

  test('moved data is found at any alignment', async () => {
    const target = Buffer.concat([noise(13, 5), base.subarray(700_001), base.subarray(0, 700_001)]);
    const { result } = await encode(base, target);
    expect(result.literalBytes).toBe(13);
  });

  test('two edits in one block leave the bytes between them to the base', async () => {
    const target = Buffer.from(base);
    target[10_000] = (target[10_000] ?? 0) ^ 1;
    target[10_500] = (target[10_500] ?? 0) ^ 1;
    const { result } = await encode(base, target);
    expect(result.literalBytes).toBe(2);
  });

  test('zeros beyond the end of the base are copies of its zero run', async () => {
    const { result, delta } = await encode(base, Buffer.concat([base, Buffer.alloc(5_000_000)]));
    expect(result.literalBytes).toBe(0);
    expect(delta.length).toBeLessThan(300);
  });

  test('a base without zeros still carries zeros, as one literal', async () => {
    const { delta } = await encode(noise(10_000, 8), Buffer.alloc(3_000_000));
    expect(delta.length).toBeLessThan(500);
  });
});

test('holes of the base become holes of the output', async () => {
  await writeFile(path('base'), noise(100_000, 2));
  await truncate(path('base'), 64 << 20);
  await using base = await openSource(path('base'));
  const target = Buffer.concat([noise(100_000, 2), Buffer.alloc((64 << 20) - 100_000)]);
  const { targetSha256, targetSize } = await writeAtomically(path('delta.zst'), (sink) =>
    encodeDelta({ base, target: chunksOf(target, 1 << 20), sink }),
  );
  await writeAtomically(path('out'), async (sink) =>
    applyDelta({
      base,
      delta: chunksOf(await readFile(path('delta.zst')), 4096),
      sink,
      expected: { size: targetSize, sha256: targetSha256 },
    }),
  );
  const { size, blocks } = await stat(path('out'));
  expect(size).toBe(64 << 20);
  expect(blocks * 512).toBeLessThan(1 << 20);
});

describe('hostile deltas', () => {
  const base = noise(50_000, 11);
  const target = Buffer.concat([base.subarray(20_000), noise(3000, 12), Buffer.alloc(9000)]);

  async function failure(delta: Buffer): Promise<unknown> {
    await using source = await openSource(path('base'));
    try {
      await applyDelta({
        base: source,
        delta: chunksOf(delta, 512),
        sink: nullSink(),
        expected: { size: target.length, sha256: sha256(target) },
      });
      return undefined;
    } catch (error) {
      return error;
    }
  }

  test('every truncation is an error of ours', async () => {
    const { delta } = await encode(base, target);
    // Node's zstd does not miss the frame's trailer (an empty block and the checksum). What came
    // out is complete then, and proved by its SHA-256; the bundle's digest of the blob notices.
    for (let length = 0; length < delta.length - 16; length += 7) {
      expect(await failure(delta.subarray(0, length))).toBeInstanceOf(RehydrateError);
    }
  });

  test('a flipped bit is an error of ours', async () => {
    const { delta } = await encode(base, target);
    await fc.assert(
      fc.asyncProperty(fc.nat(delta.length * 8 - 1), async (bit) => {
        const damaged = Buffer.from(delta);
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const error = await failure(damaged);
        // Some header bits carry no meaning (zstd ignores them): then the result must be right.
        if (error !== undefined) expect(error).toBeInstanceOf(RehydrateError);
      }),
      { numRuns: 300 },
    );
  });

  test.each([
    ['deltas', (delta: Buffer) => zstdDecompressSync(delta), zstdCompressSync],
    ['frames', (delta: Buffer) => delta, (bytes: Uint8Array) => bytes],
  ])('10,000 damaged %s, applied: the file or a clear error', async (_what, open, close) => {
    const { delta } = await encode(base, target);
    const expected = { size: target.length, sha256: sha256(target) };
    const rejected = await survive(open(delta), 10_000, (mutated) =>
      applyDelta({
        ...{ base: memorySource(base), sink: nullSink(), expected },
        delta: chunksOf(Buffer.from(close(mutated)), 1 << 16),
      }),
    );
    expect(rejected).toBeGreaterThan(9000);
  });

  test('a wrong base is an integrity error', async () => {
    const { delta } = await encode(base, target);
    await writeFile(path('base'), noise(50_000, 99));
    expect(await failure(delta)).toMatchObject({ code: 'TARGET_MISMATCH' });
  });

  test('a base that is too short is named', async () => {
    const { delta } = await encode(base, target);
    await writeFile(path('base'), base.subarray(0, 30_000));
    expect(await failure(delta)).toMatchObject({ code: 'DELTA_COPY_RANGE' });
  });
});

test('a failing input rethrows its error and leaves no file', async () => {
  await writeFile(path('base'), noise(1000, 1));
  await using base = await openSource(path('base'));
  async function* failing() {
    yield noise(2_000_000, 5);
    throw new Error('pipe broke');
  }
  const attempt = writeAtomically(path('never'), (sink) =>
    encodeDelta({ base, target: failing(), sink }),
  );
  await expect(attempt).rejects.toThrow('pipe broke');
  await expect(stat(path('never'))).rejects.toThrow();
});
