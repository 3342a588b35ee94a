import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { writeFootedVmdk } from '../../../test/golden/vmdk/footed.ts';
import { memorySink } from '../../../test/support/memory-sink.ts';
import { FormatError } from '../../core/errors.ts';
import { runsToBytes } from '../../core/io/disk-run.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import type { Sink } from '../../core/io/sink.ts';
import { DEFAULT_PARAMS } from '../deflate/params.ts';
import type { CodecPool } from '../pool.ts';
import { inlinePool, workerPool } from '../workers/pool.ts';
import { decodeVmdk } from './decode.ts';
import { encodeVmdk, isSequential, vmdkEncoder } from './encode.ts';
import { parseRecipe, serializeRecipe, type VmdkRecipe } from './recipe.ts';

let folder: string;
let workers: CodecPool;
const inline = inlinePool();
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmdk-test-'));
  workers = workerPool(2);
});
afterAll(async () => {
  await workers[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function decode(file: Uint8Array, pool = inline) {
  const decoding = await decodeVmdk(memorySource(file, 'test.vmdk'), { pool });
  const pieces: Buffer[] = [];
  for await (const bytes of runsToBytes(decoding.disk())) pieces.push(Buffer.from(bytes));
  const disk = Buffer.concat(pieces);
  expect(disk.length).toBe(decoding.size);
  const recipe = serializeRecipe(await decoding.recipe());
  return { disk, recipe, statistics: decoding.statistics };
}

async function encode(recipe: VmdkRecipe, disk: Uint8Array, pool = inline) {
  const sink = memorySink();
  await encodeVmdk(recipe, memorySource(disk, 'disk'), sink, { pool });
  return sink.bytes();
}

/** Through the sink, in pieces of `chunk` bytes, long zero runs as such. */
async function encodeSequentially(recipe: VmdkRecipe, disk: Buffer, chunk = 100_000) {
  const sink = memorySink();
  const encoder = vmdkEncoder(recipe, sink, { pool: inline });
  for (let at = 0; at < disk.length; at += chunk) {
    const piece = disk.subarray(at, at + chunk);
    if (piece.every((byte) => byte === 0)) await encoder.zeros(piece.length);
    else await encoder.write(piece);
  }
  await encoder.finish();
  return sink.bytes();
}

function qemuImg(...args: string[]): string {
  return execFileSync('qemu-img', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const QEMU = ['aws', 'qemu-7.2', 'virtualbox', 'odd', 'empty', 'noise'];
const ZLIB_NG = ['zlib-ng-2.1.6', 'zlib-ng-2.2.4', 'zlib-ng-2.2.5', 'zlib-ng-2.3.3'];

describe("qemu-img's files", () => {
  test.each([...QEMU, ...ZLIB_NG])('%s: same disk, same file', async (name) => {
    const file = golden(`vmdk/${name}.vmdk`);
    const { disk, recipe, statistics } = await decode(file, workers);
    expect(statistics.literalGrains).toBe(0);
    const parsed = parseRecipe(recipe);
    expect(isSequential(parsed)).toBe(true);
    expect((await encode(parsed, disk, workers)).equals(file)).toBe(true);
    expect((await encodeSequentially(parsed, disk)).equals(file)).toBe(true);

    const paths = { vmdk: join(folder, `${name}.vmdk`), raw: join(folder, `${name}.raw`) };
    writeFileSync(paths.vmdk, file);
    writeFileSync(paths.raw, disk);
    expect(qemuImg('compare', '-f', 'vmdk', '-F', 'raw', paths.vmdk, paths.raw)).toMatch(
      'Images are identical.',
    );
  });

  test.each(ZLIB_NG)('%s is recognized as the deflater', async (name) => {
    const { recipe } = await decode(golden(`vmdk/${name}.vmdk`));
    const { codecs } = parseRecipe(recipe);
    expect(codecs).toContainEqual(
      expect.objectContaining({ implementation: expect.stringContaining(name), level: 6 }),
    );
  });

  test('a recipe is small: all but the grain sizes is the same everywhere', async () => {
    const { recipe } = await decode(golden('vmdk/aws.vmdk'));
    expect(zstdCompressSync(recipe).length).toBeLessThan(800);
  });

  test('recipes are the same whatever the threads do', async () => {
    const file = golden('vmdk/aws.vmdk');
    const recipes = await Promise.all([decode(file), decode(file, workers), decode(file, workers)]);
    for (const { recipe } of recipes) expect(recipe).toEqual(recipes[0]?.recipe);
  });
});

describe('files with footer, markers and tables after the grains', () => {
  test.each(['ascending', 'descending', 'shuffled'] as const)('grains %s', async (order) => {
    const raw = Buffer.alloc(3 << 20);
    for (let i = 0; i < raw.length; i += 3) if (i % 400_000 < 200_000) raw[i] = i >> 5;
    const file = await writeFootedVmdk(raw, order);
    const { disk, recipe, statistics } = await decode(file, workers);
    expect(disk.equals(raw)).toBe(true);
    expect(statistics).toEqual({ grains: expect.any(Number), literalGrains: 0 });
    expect(zstdCompressSync(recipe).length).toBeLessThan(700);
    const parsed = parseRecipe(recipe);
    expect(isSequential(parsed)).toBe(true);
    expect((await encode(parsed, disk, workers)).equals(file)).toBe(true);
    expect((await encodeSequentially(parsed, disk, 7777)).equals(file)).toBe(true);
    const path = join(folder, `${order}.vmdk`);
    writeFileSync(path, file);
    writeFileSync(`${path}.raw`, raw);
    expect(qemuImg('compare', '-f', 'vmdk', '-F', 'raw', path, `${path}.raw`)).toMatch('identical');
  });

  test('grains too far from their places, or present twice', () => {
    const grains = 2048;
    const recipe = (firsts: readonly number[]): VmdkRecipe => ({
      fileSize: 512 * (1 + firsts.length),
      ...{ capacity: grains * 128, grainSectors: 128, gtesPerTable: 512, paddedTail: false },
      codecs: [DEFAULT_PARAMS],
      segments: [
        { kind: 'zeros', length: 512 },
        ...firsts.map((first) => ({ kind: 'grains', first, count: 1, codec: 0 }) as const),
      ],
      sectors: new Uint32Array(firsts.length).fill(1),
      literals: Buffer.alloc(0),
    });
    const ascending = Array.from({ length: grains }, (_, i) => i);
    expect(isSequential(recipe(ascending))).toBe(true);
    expect(isSequential(recipe([...ascending.slice(0, 1000).reverse()]))).toBe(true);
    for (const firsts of [[...ascending].reverse(), [1, 0, 1]]) {
      expect(isSequential(recipe(firsts))).toBe(false);
      expect(() => vmdkEncoder(recipe(firsts), memorySink(), { pool: inline })).toThrow(
        expect.objectContaining({ code: 'VMDK_GRAIN_ORDER' }),
      );
    }
  });
});

describe('data that a recipe keeps literally', () => {
  const original = golden('vmdk/aws.vmdk');

  test('a grain that nothing reproduces, zeroed table entries, junk in gaps', async () => {
    const file = Buffer.from(original);
    // The first grain's FLEVEL bits, with FCHECK mended (RFC 1950 2.2): inflates all the same.
    const grain = file.readUInt32LE(file.readUInt32LE(0x38) * 512 + 0) * 512;
    const first = file.readUInt32LE(grain) * 512;
    expect(file.readUInt16BE(first + 12)).toBe(0x789c);
    file.writeUInt16BE(0x7801, first + 12);
    file.writeUInt32LE(1, grain + 4 * 511); // a zeroed grain
    file.write('junk', grain - 100);
    const { disk, recipe, statistics } = await decode(file);
    expect(statistics.literalGrains).toBe(1);
    const parsed = parseRecipe(recipe);
    expect((await encode(parsed, disk)).equals(file)).toBe(true);
    expect((await encodeSequentially(parsed, disk)).equals(file)).toBe(true);
    expect(disk.equals((await decode(original)).disk)).toBe(true);
  });

  test('a large file of only literals is refused', async () => {
    const raw = Buffer.alloc(20 << 20, 'incompressible enough? ');
    for (let i = 0; i < raw.length; i += 4) raw.writeUInt32LE((i * 2654435761) >>> 0, i);
    const file = await writeFootedVmdk(raw, 'ascending', { strategy: 2, memLevel: 1 });
    await expect(decode(file, workers)).rejects.toMatchObject({
      kind: 'unsupported',
      code: 'VMDK_OPAQUE',
    });
  });
});

test('any disk and its VMDK round-trip', async () => {
  const pieces = fc.array(
    fc.record({
      kind: fc.constantFrom('zeros', 'text', 'noise'),
      sectors: fc.integer({ min: 1, max: 400 }),
      seed: fc.nat(255),
    }),
    { minLength: 1, maxLength: 12 },
  );
  const options = fc.constantFrom('', ',compat6', ',adapter_type=lsilogic,compat6');
  let run = 0;
  await fc.assert(
    fc.asyncProperty(pieces, options, async (list, more) => {
      const raw = Buffer.concat(
        list.map(({ kind, sectors, seed }) => {
          const bytes = Buffer.alloc(sectors * 512, kind === 'text' ? `some text ${seed} ` : 0);
          if (kind === 'noise')
            for (let i = 0; i < bytes.length; i++) bytes[i] = (i * i * seed) >> 3;
          return bytes;
        }),
      );
      const path = join(folder, `random-${run++}`);
      writeFileSync(`${path}.raw`, raw);
      const created = `subformat=streamOptimized${more}`;
      const ends = [`${path}.raw`, `${path}.vmdk`];
      qemuImg('convert', '-f', 'raw', '-O', 'vmdk', '-o', created, ...ends);
      const file = readFileSync(`${path}.vmdk`);
      const { disk, recipe, statistics } = await decode(file);
      expect(disk.equals(raw)).toBe(true);
      expect(statistics.literalGrains).toBe(0);
      expect((await encode(parseRecipe(recipe), disk)).equals(file)).toBe(true);
      expect((await encodeSequentially(parseRecipe(recipe), disk, 7777)).equals(file)).toBe(true);
      rmSync(`${path}.raw`);
      rmSync(`${path}.vmdk`);
    }),
    { numRuns: 40 },
  );
});

describe('hostile input', () => {
  test('every truncation is noticed', async () => {
    const file = golden('vmdk/aws.vmdk');
    // qemu-img leaves zeros after the last grain, and losing a few of them does no harm.
    const end = file.findLastIndex((byte) => byte !== 0);
    for (let size = 0; size < end; size += 997) {
      const error = await decode(file.subarray(0, size)).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(FormatError);
    }
  });

  test('the disk of another recipe is noticed', async () => {
    const { recipe, disk } = await decode(golden('vmdk/aws.vmdk'));
    const other = Buffer.from(disk);
    other.fill('entirely different', 0, 60_000);
    await expect(encode(parseRecipe(recipe), other, workers)).rejects.toMatchObject({
      kind: 'integrity',
      code: 'VMDK_OTHER_DISK',
    });
    await expect(encodeSequentially(parseRecipe(recipe), other)).rejects.toMatchObject({
      code: 'VMDK_OTHER_DISK',
    });
  });

  test('a disk that ends early is noticed', async () => {
    const { recipe, disk } = await decode(golden('vmdk/aws.vmdk'));
    const short = disk.subarray(0, disk.length - 512);
    await expect(encode(parseRecipe(recipe), short)).rejects.toMatchObject({ code: 'SHORT_READ' });
    await expect(encodeSequentially(parseRecipe(recipe), short)).rejects.toMatchObject({
      code: 'SHORT_READ',
    });
  });

  test('other kinds of VMDK are distinguished from damage', async () => {
    const path = join(folder, 'sparse.vmdk');
    qemuImg('create', '-f', 'vmdk', path, '1M');
    await expect(decode(readFileSync(path))).rejects.toMatchObject({ code: 'VMDK_KIND' });
    await expect(decode(Buffer.alloc(4096, 'x'))).rejects.toMatchObject({ code: 'VMDK_MAGIC' });
  });
});

describe('cancelling', () => {
  test('decode and encode stop with the signal', async () => {
    const file = golden('vmdk/aws.vmdk');
    const { recipe, disk } = await decode(file);
    const signal = AbortSignal.abort();
    await expect(decodeVmdk(memorySource(file), { pool: inline, signal })).rejects.toMatchObject({
      kind: 'cancelled',
    });
    await expect(
      encodeVmdk(parseRecipe(recipe), memorySource(disk), memorySink(), { pool: inline, signal }),
    ).rejects.toMatchObject({ kind: 'cancelled' });
  });

  test('an aborted sequential encoder lets go', async () => {
    const { recipe, disk } = await decode(golden('vmdk/aws.vmdk'));
    const encoder = vmdkEncoder(parseRecipe(recipe), memorySink(), { pool: workers });
    await encoder.write(disk.subarray(0, 100_000));
    await encoder.abort(new Error('enough'));
    await expect(encoder.write(disk.subarray(0, 10))).rejects.toThrow('enough');
  });

  test('a failing output ends the encoder', async () => {
    const { recipe, disk } = await decode(golden('vmdk/aws.vmdk'));
    const full: Sink = {
      write: () => Promise.reject(new Error('disk full')),
      zeros: () => Promise.reject(new Error('disk full')),
    };
    await expect(
      encodeVmdk(parseRecipe(recipe), memorySource(disk), full, { pool: workers }),
    ).rejects.toThrow('disk full');
  });
});
