import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memorySink } from '../../../test/support/memory-sink.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { inlinePool } from '../workers/pool.ts';
import { splice } from './codec.ts';
import { parseSplice, serializeSplice } from './recipe.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'splice-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const context = { pool: inlinePool() };

/** Packs files with the real tar; `files` maps names to contents. */
function tar(options: readonly string[], files: Readonly<Record<string, Buffer>>): Buffer {
  for (const [name, bytes] of Object.entries(files)) {
    writeFileSync(join(folder, name), bytes);
    // Makes holes of its zeros, for --sparse.
    execFileSync('cp', ['--sparse=always', join(folder, name), join(folder, `${name}.holes`)]);
    execFileSync('mv', [join(folder, `${name}.holes`), join(folder, name)]);
  }
  const common = ['--owner=0', '--group=0', '--numeric-owner', '--mtime=@0', '-C', folder];
  const argv = ['-c', ...options, ...common, ...Object.keys(files)];
  return execFileSync('tar', argv, { maxBuffer: 1 << 28 });
}

async function takeApart(file: Buffer) {
  const opened = await splice.open(memorySource(file, 'test.ova'), context);
  if (opened.payload.kind !== 'source') throw new Error('a part of the file was expected');
  const { source } = opened.payload;
  const payload = Buffer.alloc(source.size);
  await source.read(payload, 0);
  return { payload, recipe: (await opened.recipe()).bytes };
}

async function putTogether(recipe: Uint8Array, payload: Buffer, chunk = 5000): Promise<Buffer> {
  const sink = memorySink();
  const parsed = splice.parse(recipe);
  expect(parsed.payloadSize).toBe(payload.length);
  const encoder = parsed.encoder(sink, context);
  for (let at = 0; at < payload.length; at += chunk) {
    const piece = payload.subarray(at, at + chunk);
    if (piece.every((byte) => byte === 0)) await encoder.zeros(piece.length);
    else await encoder.write(piece);
  }
  await encoder.finish();
  expect(sink.bytes().length).toBe(parsed.containerSize);
  return sink.bytes();
}

const ovf = Buffer.from('<Envelope/>');
const disk = Buffer.concat([Buffer.from('KDMV'), Buffer.alloc(70_000), Buffer.alloc(3000, 'd')]);

describe('tars of GNU tar', () => {
  test.each([['ustar'], ['pax'], ['gnu'], ['oldgnu'], ['posix']])('%s', async (format) => {
    const file = tar([`--format=${format}`], { 'a.ovf': ovf, 'disk.vmdk': disk, 'z.mf': ovf });
    const { payload, recipe } = await takeApart(file);
    expect(payload.equals(disk)).toBe(true);
    expect((await putTogether(recipe, payload)).equals(file)).toBe(true);
    expect(recipe.length).toBeLessThan(8000);
  });

  test('names that take headers of their own', async () => {
    const long = `${'n'.repeat(150)}.vmdk`;
    for (const format of ['pax', 'gnu']) {
      const file = tar([`--format=${format}`], { 'a.ovf': ovf, [long]: disk });
      const { payload, recipe } = await takeApart(file);
      expect(payload.equals(disk)).toBe(true);
      expect((await putTogether(recipe, payload)).equals(file)).toBe(true);
    }
  });

  test('a sparse member is its stored data without the map blocks', async () => {
    const holey = Buffer.alloc(4 << 20);
    for (let i = 0; i < 60; i++) holey.write(`data ${i}`, i * 65_536);
    for (const format of ['oldgnu', 'gnu', 'pax']) {
      const file = tar([`--format=${format}`, '--sparse'], { 'disk.raw': holey });
      expect(file.length).toBeLessThan(holey.length);
      const { payload, recipe } = await takeApart(file);
      expect(payload.includes('data 59')).toBe(true);
      expect((await putTogether(recipe, payload)).equals(file)).toBe(true);
    }
  });

  test('any members, any size', async () => {
    const contents = fc.oneof(
      fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)),
      fc.nat(100_000).map((length) => Buffer.alloc(length)),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(contents, { minLength: 1, maxLength: 5 }),
        fc.constantFrom('ustar', 'pax', 'gnu'),
        async (list, format) => {
          const files = Object.fromEntries(list.map((bytes, i) => [`m${i}`, bytes]));
          const file = tar([`--format=${format}`], files);
          const largest = Math.max(...list.map(({ length }) => length));
          if (largest === 0) {
            await expect(takeApart(file)).rejects.toMatchObject({ code: 'ARCHIVE_EMPTY' });
            return;
          }
          const { payload, recipe } = await takeApart(file);
          expect(payload.length).toBe(largest);
          expect((await putTogether(recipe, payload)).equals(file)).toBe(true);
        },
      ),
      { numRuns: 30 },
    );
  });
});

test('without an end mark, and without the padding of the last member', async () => {
  for (const format of ['v7', 'ustar', 'gnu']) {
    const file = tar([`--format=${format}`], { 'a.ovf': ovf, 'disk.vmdk': disk });
    const end = 512 + 512 + 512 + disk.length;
    for (const length of [end, Math.ceil(end / 512) * 512, Math.ceil(end / 512) * 512 + 512]) {
      const cut = file.subarray(0, length);
      const { payload, recipe } = await takeApart(cut);
      expect(payload.equals(disk)).toBe(true);
      expect((await putTogether(recipe, payload)).equals(cut)).toBe(true);
    }
    await expect(takeApart(file.subarray(0, end - 1))).rejects.toMatchObject({ code: 'TAR' });
    expect(splice.detect(file.subarray(0, 1024))).toBe(true);
  }
  expect(splice.detect(Buffer.alloc(1024))).toBe(false);
  expect(splice.detect(disk.subarray(0, 1024))).toBe(false);
});

describe('hostile input', () => {
  const bad = (file: Buffer) => expect(takeApart(file)).rejects;

  test('tars that are odd', async () => {
    const file = tar(['--format=ustar'], { 'disk.vmdk': disk });
    await bad(file.subarray(0, 1024)).toMatchObject({ code: 'TAR' });
    await bad(file.subarray(0, 512 + 50_000)).toMatchObject({ code: 'TAR' });
    const flipped = Buffer.from(file);
    flipped[10] = 0x41;
    await bad(flipped).toMatchObject({ code: 'TAR', message: expect.stringContaining('checksum') });
  });

  test('a recipe whose parts do not add up', () => {
    const literals = Buffer.from('head');
    const make = (...segments: Parameters<typeof serializeSplice>[0]['segments']) =>
      serializeSplice({ segments, literals });
    expect(() => parseSplice(make({ kind: 'literal', length: 5 }))).toThrow(/another length/);
    expect(() =>
      parseSplice(
        make({ kind: 'literal', length: 4 }, ...Array(9).fill({ kind: 'zeros', length: 2 ** 44 })),
      ),
    ).toThrow(/impossible size/);
  });

  test('a payload of a different size', async () => {
    const { recipe, payload } = await takeApart(tar(['--format=ustar'], { 'b.vmdk': disk }));
    for (const wrong of [payload.subarray(1), Buffer.concat([payload, payload])]) {
      const encoder = splice.parse(recipe).encoder(memorySink(), context);
      const run = async () => {
        await encoder.write(wrong);
        await encoder.finish();
      };
      await expect(run()).rejects.toMatchObject({ code: 'SPLICE_SIZE' });
    }
  });
});

test('a file with too much around its payload is refused', async () => {
  const file = tar(['--format=ustar'], {
    'a.bin': Buffer.alloc(5 << 20, 'x'),
    'b.bin': Buffer.alloc(6 << 20, 'y'),
  });
  await expect(takeApart(file)).rejects.toMatchObject({ code: 'SPLICE_OPAQUE' });
});
