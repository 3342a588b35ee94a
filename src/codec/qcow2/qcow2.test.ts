import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { memorySink } from '../../../test/support/memory-sink.ts';
import { noise, sha256Of } from '../../../test/support/synthetic-bundle.ts';
import { runsToBytes } from '../../core/io/disk-run.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { inlinePool } from '../workers/pool.ts';
import { qcow2 } from './codec.ts';
import { decodeQcow2 } from './decode.ts';
import { parseRecipe, serializeRecipe } from './recipe.ts';

const GOLDEN = new URL('../../../test/golden/qcow2/', import.meta.url);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'qcow2-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pool = inlinePool();

function qemuImg(...args: string[]): string {
  return execFileSync('qemu-img', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The qcow2 that the real qemu-img makes of a disk. */
function convert(raw: Buffer, ...options: string[]): Buffer {
  const [disk, image] = [join(folder, 'disk.raw'), join(folder, 'disk.qcow2')];
  writeFileSync(disk, raw);
  qemuImg('convert', '-f', 'raw', '-O', 'qcow2', ...options, disk, image);
  return readFileSync(image);
}

async function decode(file: Uint8Array) {
  const decoding = await decodeQcow2(memorySource(file, 'test.qcow2'), { pool });
  const pieces: Buffer[] = [];
  for await (const bytes of runsToBytes(decoding.disk())) pieces.push(Buffer.from(bytes));
  const disk = Buffer.concat(pieces);
  expect(disk.length).toBe(decoding.size);
  const recipe = serializeRecipe(await decoding.recipe());
  return { disk, recipe, statistics: decoding.statistics };
}

async function encode(recipe: Uint8Array, disk: Buffer, chunk = 100_000): Promise<Buffer> {
  const sink = memorySink();
  const parsed = qcow2.parse(recipe);
  expect(parsed.payloadSize).toBe(disk.length);
  const encoder = parsed.encoder(sink, { pool });
  for (let at = 0; at < disk.length; at += chunk) {
    const piece = disk.subarray(at, at + chunk);
    if (piece.every((byte) => byte === 0)) await encoder.zeros(piece.length);
    else await encoder.write(piece);
  }
  await encoder.finish();
  expect(sink.bytes().length).toBe(parsed.containerSize);
  return sink.bytes();
}

const text = (length: number) =>
  Buffer.alloc(length, 'text that deflates well, though not too well ');

/** A disk in miniature: data at both ends, holes, a lonely sector, clusters that do not deflate. */
function miniature(size = 12 << 20): Buffer {
  const disk = Buffer.alloc(size);
  text(700_000).copy(disk);
  noise(200_000, 'q').copy(disk, 2 << 20);
  disk.write('x', size >> 1);
  noise(300_000, 'r').copy(disk, (2 << 20) + 270_000);
  text(1000).copy(disk, size - 1000);
  return disk;
}

const OPTIONS = [
  ['plain', ['-o', 'compat=1.1']],
  ['version 2', ['-o', 'compat=0.10']],
  ['compressed', ['-c', '-o', 'compat=1.1']],
  ['small clusters', ['-o', 'cluster_size=4096']],
  ['compressed small clusters', ['-c', '-o', 'cluster_size=512']],
  ['large clusters', ['-c', '-o', 'cluster_size=512k']],
  ['clusters of 1 MiB', ['-c', '-o', 'cluster_size=1M']],
  ['clusters of 2 MiB', ['-c', '-o', 'cluster_size=2M']],
  ['clusters of 2 MiB, not compressed', ['-o', 'cluster_size=2M']],
  ['lazy reference counts', ['-o', 'lazy_refcounts=on']],
  ['one-bit reference counts', ['-o', 'refcount_bits=1']],
  ['metadata made beforehand', ['-o', 'preallocation=metadata']],
] as const;

describe("qemu-img's files", () => {
  test.each(OPTIONS)('%s: same disk, same file', async (_name, options) => {
    const raw = miniature();
    const file = convert(raw, ...options);
    const { disk, recipe, statistics } = await decode(file);
    expect(disk.equals(raw)).toBe(true);
    expect(statistics.literalClusters).toBe(0);
    expect((await encode(recipe, disk)).equals(file)).toBe(true);
    expect((await encode(recipe, disk, 7777)).equals(file)).toBe(true);
  });

  test('a disk that ends inside a cluster', async () => {
    for (const options of [[], ['-c']]) {
      const raw = miniature((3 << 20) + 1536);
      const file = convert(raw, ...options);
      const { disk, recipe } = await decode(file);
      expect(disk.equals(raw)).toBe(true);
      expect((await encode(recipe, disk)).equals(file)).toBe(true);
    }
  });

  test.each(OPTIONS)('%s: hashed in place, if it is not compressed', async (_name, options) => {
    const raw = miniature((3 << 20) + 1536);
    const { payload } = await qcow2.open(memorySource(convert(raw, ...options)), { pool });
    if (payload.kind !== 'disk') throw new Error('no disk');
    expect(payload.hash === undefined).toBe(options.some((option) => option === '-c'));
    using hashing = pool.hashing(payload.size, undefined);
    await payload.hash?.(hashing);
    if (payload.hash) expect(await hashing.digest()).toBe(sha256Of(raw));
  });

  test('recipes are small: no table is in them', async () => {
    const { recipe } = await decode(convert(miniature(), '-o', 'cluster_size=4096'));
    expect(zstdCompressSync(recipe).length).toBeLessThan(500);
    const { recipe: compressed } = await decode(convert(miniature(), '-c'));
    expect(zstdCompressSync(compressed).length).toBeLessThan(500);
  });

  test('an empty disk of 100 GiB costs no time', async () => {
    const [disk, image] = [join(folder, 'huge.raw'), join(folder, 'huge.qcow2')];
    writeFileSync(disk, '');
    truncateSync(disk, 100 * 2 ** 30);
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', disk, image);
    const opened = await qcow2.open(memorySource(readFileSync(image)), { pool });
    if (opened.payload.kind !== 'disk') throw new Error('a disk was expected');
    const sink = memorySink();
    const runs = [];
    for await (const run of opened.payload.runs()) runs.push(run);
    expect(runs).toEqual([{ kind: 'zeros', length: 100 * 2 ** 30 }]);
    const { bytes } = await opened.recipe();
    const encoder = qcow2.parse(bytes).encoder(sink, { pool });
    await encoder.zeros(100 * 2 ** 30);
    await encoder.finish();
    expect(sink.bytes().equals(readFileSync(image))).toBe(true);
  });
});

describe('images made by qemu-img 7.2 and 10.0', () => {
  const lines = readFileSync(new URL('digests.txt', GOLDEN), 'utf8').trim().split('\n');
  const digests = new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]));
  test.each(['plain', 'compressed', 'version-2', 'small-clusters'])('%s', async (name) => {
    const file = golden(`qcow2/${name}.qcow2`);
    for (const release of ['7.2', '10.0']) {
      expect(digests.get(`${name} ${release}`), release).toBe(sha256Of(file));
    }
    const { disk, recipe, statistics } = await decode(file);
    expect(sha256Of(disk)).toBe(digests.get('disk'));
    expect(statistics.literalClusters).toBe(0);
    expect((await encode(recipe, disk)).equals(file)).toBe(true);
  });
});

test('any disk and its qcow2 round-trip', async () => {
  const pieces = fc.array(
    fc.record({
      kind: fc.constantFrom('zeros', 'text', 'noise'),
      sectors: fc.integer({ min: 1, max: 400 }),
      seed: fc.nat(255),
    }),
    { minLength: 1, maxLength: 12 },
  );
  const options = fc.constantFrom(...OPTIONS.slice(0, 6).map(([, list]) => list));
  await fc.assert(
    fc.asyncProperty(pieces, options, async (list, more) => {
      const raw = Buffer.concat(
        list.map(({ kind, sectors, seed }) => {
          if (kind === 'noise') return noise(sectors * 512, String(seed));
          return kind === 'text' ? text(sectors * 512) : Buffer.alloc(sectors * 512);
        }),
      );
      const file = convert(raw, ...more);
      const { disk, recipe } = await decode(file);
      expect(disk.equals(raw)).toBe(true);
      expect((await encode(recipe, disk, 7777)).equals(file)).toBe(true);
    }),
    { numRuns: 25 },
  );
});

describe('data that a recipe keeps literally', () => {
  test('an L2 entry that reads as zeros, junk in a gap, a stale table', async () => {
    const raw = miniature();
    const file = convert(raw);
    const l1 = Number(file.readBigUInt64BE(40));
    const l2 = Number(file.readBigUInt64BE(l1) & 0xff_ffff_ffff_fe00n);
    file.writeBigUInt64BE(1n, l2 + 8 * 100); // reads as zeros, and did before
    file.write('junk', 1000);
    const { disk, recipe } = await decode(file);
    expect(disk.equals(raw)).toBe(true);
    expect((await encode(recipe, disk)).equals(file)).toBe(true);
  });

  test('a compressed cluster that nothing reproduces', async () => {
    const raw = miniature();
    const file = convert(raw, '-c');
    const { recipe: good } = await decode(file);
    const first = parseRecipe(good);
    let at = 0;
    for (const segment of first.segments) {
      if (segment.kind === 'deflated') break;
      at += 'length' in segment ? segment.length : 65_536;
    }
    // A final block with its reserved bits behind the end set: inflates to the same.
    const length = first.lengths[0] ?? 0;
    const flipped = (file[at + length - 1] ?? 0) ^ 0x80;
    file[at + length - 1] = flipped;
    const { disk, recipe, statistics } = await decode(file);
    expect(disk.equals(raw)).toBe(true);
    expect(statistics.literalClusters).toBe(1);
    expect((await encode(recipe, disk)).equals(file)).toBe(true);
  });
});

describe('files that are not taken apart', () => {
  const refused = (file: Buffer) =>
    expect(decodeQcow2(memorySource(file, 'test.qcow2'), { pool })).rejects;

  test('other kinds', async () => {
    const raw = miniature();
    const file = convert(raw);
    for (const [at, value] of [
      [8, 1], // backing file
      [32, 1], // encryption
      [60, 1], // snapshots
      [76, 4], // external data
    ] as const) {
      const odd = Buffer.from(file);
      odd.writeUInt32BE(value, at);
      await refused(odd).toMatchObject({ kind: 'unsupported', code: 'QCOW2_KIND' });
    }
    await refused(convert(raw, '-c', '-o', 'compression_type=zstd')).toMatchObject({
      code: 'QCOW2_KIND',
    });
  });

  test('clusters that occur twice, or past the end', async () => {
    const file = convert(text(1 << 20));
    const l1 = Number(file.readBigUInt64BE(40));
    const l2 = Number(file.readBigUInt64BE(l1) & 0xff_ffff_ffff_fe00n);
    const swap = Buffer.from(file);
    file.copy(swap, l2, l2 + 8, l2 + 16);
    file.copy(swap, l2 + 8, l2, l2 + 8);
    const swapped = await decode(swap);
    expect((await encode(swapped.recipe, swapped.disk)).equals(swap)).toBe(true);
    const twice = Buffer.from(file);
    file.copy(twice, l2, l2 + 8, l2 + 16);
    await refused(twice).toMatchObject({ code: 'QCOW2_DAMAGED' });
    await refused(file.subarray(0, file.length - 65_536)).toMatchObject({ code: 'QCOW2_DAMAGED' });
    await refused(file.subarray(0, 50)).toMatchObject({ code: 'QCOW2_DAMAGED' });
  });
});

describe('hostile input', () => {
  test('clusters from last to first are not held in memory', () => {
    const count = 1000;
    const recipe = {
      ...{ clusterBits: 19, diskSize: count << 19, fileSize: count << 19, codecs: [] },
      segments: Array.from({ length: count }, (_, i) => {
        return { kind: 'clusters', first: count - 1 - i, count: 1 } as const;
      }),
      lengths: new Uint32Array(0),
      literals: new Uint8Array(0),
    };
    expect(() => qcow2.parse(serializeRecipe(recipe))).toThrow(/too far from the order/);
  });

  test('a disk other than the recipe’s', async () => {
    const raw = miniature();
    const { recipe } = await decode(convert(raw, '-c'));
    const other = Buffer.from(raw);
    noise(60_000, 'other').copy(other, 70_000);
    await expect(encode(recipe, other)).rejects.toMatchObject({
      kind: 'integrity',
      code: 'QCOW2_OTHER_DISK',
    });
  });
});
