import { execFileSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { memorySink } from '../../../test/support/memory-sink.ts';
import { temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { runsToBytes } from '../../core/io/disk-run.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { splice } from '../splice/codec.ts';
import { inlinePool } from '../workers/pool.ts';
import { deflate } from './codec.ts';

const context = { pool: inlinePool() };
const telling = golden('iso/live.iso').subarray(0, 600_000);
/** As a disk may begin: nothing that tells deflaters apart, and not even a block of their output. */
const disk = Buffer.concat([Buffer.from('MBR'), Buffer.alloc(3 << 20), telling]);
/** Longer than the longest block, of which each symbol stands for 258 zeros. */
const quieter = Buffer.concat([Buffer.alloc(20 << 20), telling]);

/** What comes back of a gzip file that was taken apart, and which deflater it took. */
async function roundTrip(file: Buffer): Promise<{ same: boolean; requires: readonly string[] }> {
  const outer = await splice.open(memorySource(file, 'test.gz'), context);
  if (outer.payload.kind !== 'source') throw new Error('a part of the file was expected');
  const inner = await deflate.open(outer.payload.source, context);
  if (inner.payload.kind !== 'file') throw new Error('a file was expected');
  const pieces: Buffer[] = [];
  for await (const bytes of runsToBytes(inner.payload.runs())) pieces.push(Buffer.from(bytes));
  const recipe = await inner.recipe();
  const sink = memorySink();
  const around = splice.parse((await outer.recipe()).bytes).encoder(sink, context);
  const encoder = deflate.parse(recipe.bytes).encoder(around, context);
  await encoder.write(Buffer.concat(pieces));
  await encoder.finish();
  await around.finish();
  return { same: sink.bytes().equals(file), requires: recipe.requires };
}

const run = (program: string, argv: readonly string[], input: Buffer, cwd?: string): Buffer =>
  execFileSync(program, argv, { input, maxBuffer: 1 << 28, ...(cwd ? { cwd } : {}) });

const python = (script: string, input: Buffer, ...argv: string[]) =>
  run('python3', ['-c', script, ...argv], input);
/** By the system's zlib, as libarchive and Python call it. */
const zlib = (level: number, input: Buffer) =>
  python(
    'import sys, zlib; z = zlib.compressobj(int(sys.argv[1]), 8, 31); b = sys.stdin.buffer.read(); ' +
      'sys.stdout.buffer.write(z.compress(b) + z.flush())',
    input,
    `${level}`,
  );

const LEVELS = [1, 2, 3, 4, 5, 6, 7, 8, 9];

describe('a stream that begins quietly, made again', () => {
  test.each(LEVELS)('GNU gzip -%i', async (level) => {
    const found = await roundTrip(run('gzip', ['-c', `-${level}`], disk));
    expect(found).toEqual({ same: true, requires: ['gzip'] });
  });

  test.each(LEVELS)('zlib at level %i', async (level) => {
    const found = await roundTrip(zlib(level, disk));
    expect(found).toEqual({ same: true, requires: ['zlib-1.3.2'] });
  });

  test('for many blocks', async () => {
    const made = await roundTrip(run('gzip', ['-c'], quieter));
    expect(made).toEqual({ same: true, requires: ['gzip'] });
  });

  test.each([1, 5, 6, 9])('pigz -%i', async (level) => {
    const file = run('pigz', ['-c', `-${level}`], disk);
    expect(await roundTrip(file)).toEqual({ same: true, requires: ['pigz'] });
    // With one thread it makes the same.
    expect(
      run('pigz', ['-cp1', `-${level}`, '-'], disk)
        .subarray(10)
        .equals(file.subarray(10)),
    ).toBe(true);
  });

  test('pigz, around the ends of its blocks', async () => {
    for (const length of [0, 1, 131_071, 131_072, 131_073, 262_144, 300_000]) {
      const { same } = await roundTrip(run('pigz', ['-c'], telling.subarray(0, length)));
      expect(same, `${length}`).toBe(true);
    }
  });

  test('nothing but zeros, or nothing much', async () => {
    for (const contents of [
      Buffer.alloc(0),
      Buffer.of(0),
      Buffer.from('short'),
      Buffer.alloc(3e6),
    ]) {
      for (const level of [1, 3, 6, 9]) {
        const at = `${contents.length} bytes, -${level}`;
        const { same } = await roundTrip(run('gzip', ['-c', `-${level}`], contents));
        expect(same, `gzip of ${at}`).toBe(true);
        expect((await roundTrip(zlib(level, contents))).same, `zlib of ${at}`).toBe(true);
      }
    }
  });
});

describe("tars without holes, as gcp's are", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeAll(async () => {
    folder = await temporaryFolder();
    await writeFile(join(folder.path, 'disk.raw'), disk);
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  test.each([
    ...['v7', 'oldgnu', 'gnu', 'ustar', 'posix'].map((format) => ({ program: 'tar', format })),
    ...['ustar', 'pax', 'gnutar'].map((format) => ({ program: 'bsdtar', format })),
  ])('$program, $format', async ({ program, format }) => {
    await rm(join(folder.path, 'made.tar.gz'), { force: true });
    const argv = [`--format=${format}`, '-czf', 'made.tar.gz', 'disk.raw'];
    run(program, argv, Buffer.alloc(0), folder.path);
    const file = run('cat', [join(folder.path, 'made.tar.gz')], Buffer.alloc(0));
    expect((await roundTrip(file)).same).toBe(true);
  });

  test.each([
    ['tarfile, w:gz', 'w:gz'],
    ['tarfile, w|gz', 'w|gz'],
  ])('%s', async (_, mode) => {
    const script =
      'import sys, tarfile; t = tarfile.open(fileobj=sys.stdout.buffer, mode=sys.argv[2], name="x"); ' +
      't.add(sys.argv[1], "disk.raw"); t.close()';
    const made = python(script, Buffer.alloc(0), join(folder.path, 'disk.raw'), mode);
    expect((await roundTrip(made)).same).toBe(true);
  });
});
