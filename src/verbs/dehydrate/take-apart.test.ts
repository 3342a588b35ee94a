import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { writeBfb } from '../../../scripts/fixture/bfb.ts';
import { ociArchive } from '../../../scripts/fixture/oci-archive.ts';
import { golden } from '../../../test/golden/load.ts';
import { memorySink } from '../../../test/support/memory-sink.ts';
import { noise, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import type { Encoder } from '../../codec/codec.ts';
import { inlinePool } from '../../codec/workers/pool.ts';
import { runsToSink } from '../../core/io/disk-run.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import type { Sink } from '../../core/io/sink.ts';
import { takeApart } from './take-apart.ts';

const context = { pool: inlinePool() };
const { signal } = new AbortController();

async function apart(file: Buffer) {
  await using taken = await takeApart(memorySource(file, 'test'), {
    ...context,
    maxLayers: 8,
    writer: {
      async addScratch(body) {
        const scratch = memorySink();
        const result = await body(scratch);
        return { source: memorySource(scratch.bytes(), 'kept'), result };
      },
    },
  });
  const { layers, payload, refusal } = taken;
  const sink = memorySink();
  await runsToSink(payload.runs(), sink);
  const recipes = [];
  for (const { codec, opened } of layers) recipes.push({ codec, ...(await opened.recipe()) });
  return { recipes, payload: sink.bytes(), refusal };
}

/** Through all encoders at once, as rehydrate does. */
async function together({
  recipes,
  payload,
}: Pick<Awaited<ReturnType<typeof apart>>, 'recipes' | 'payload'>): Promise<Buffer> {
  const out = memorySink();
  let sink: Sink = out;
  const encoders: Encoder[] = [];
  for (const { codec, bytes } of recipes) {
    const encoder = codec.parse(bytes).encoder(sink, context);
    encoders.unshift(encoder);
    sink = encoder;
  }
  await sink.write(payload);
  for (const encoder of encoders) await encoder.finish();
  return out.bytes();
}

const LAYERS = ['splice', 'splice', 'deflate', 'splice', 'qcow2'];

test("KubeVirt's container disks come apart down to the raw disk, and together again", async () => {
  await using folder = await temporaryFolder();
  const [raw, qcow2] = [join(folder.path, 'disk.raw'), join(folder.path, 'disk.qcow2')];
  const disk = Buffer.alloc(3 << 20);
  noise(300_000, 'k').copy(disk, 70_000);
  disk.fill('text that deflates ', 1 << 20, 2 << 20);
  await writeFile(raw, disk);
  await execa('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, qcow2]);
  const path = join(folder.path, 'x.ociarchive');
  await ociArchive('s390x', { path: qcow2, name: 'x-kubevirt.s390x.qcow2' }, path, signal);
  const file = await readFile(path);

  const made = await apart(file);
  const { recipes, payload } = made;
  expect(recipes.map(({ codec }) => codec.name)).toEqual(LAYERS);
  expect(recipes.flatMap(({ requires }) => requires)).toEqual(['gzip']);
  expect(payload.equals(disk)).toBe(true);
  expect((await together(made)).equals(file)).toBe(true);
});

test.each(['skopeo', 'umoci'])('so do those that %s packs', async (tool) => {
  const file = golden(`oci/${tool}.ociarchive`);
  const made = await apart(file);
  expect(made.recipes.map(({ codec }) => codec.name)).toEqual(LAYERS);
  expect(made.recipes.flatMap(({ requires }) => requires)).toEqual(['klauspost-1.17.11']);
  expect((await together(made)).equals(file)).toBe(true);
});

test("a fixture's boot stream has its images where the headers say", async () => {
  await using folder = await temporaryFolder();
  const file = (name: string) => join(folder.path, name);
  const parts = { kernel: noise(5001, 'k'), initrd: noise(3000, 'i'), rootfs: noise(7777, 'r') };
  for (const [name, bytes] of Object.entries(parts)) await writeFile(file(name), bytes);
  const live = { kernel: file('kernel'), initrd: file('initrd'), rootfs: file('rootfs') };
  await writeBfb(live, ['console=hvc0', 'quiet'], file('bfb'));
  const bfb = await readFile(file('bfb'));
  const images: [number, Buffer][] = [];
  for (let at = 0; at < (await stat(file('bfb'))).size; ) {
    expect(bfb.toString('latin1', at, at + 4)).toBe('Bf\x02\x13');
    const length = bfb.readUInt32LE(at + 8);
    images.push([bfb.readUInt8(at + 7), bfb.subarray(at + 24, at + 24 + length)]);
    at += 24 + Math.ceil(length / 8) * 8;
  }
  expect(images).toEqual([
    [59, Buffer.from('console=hvc0 quiet')],
    [62, parts.kernel],
    [63, Buffer.concat([parts.initrd, parts.rootfs])],
  ]);
  // Nothing to take apart: the matcher finds the live system's files in it.
  expect((await apart(bfb)).recipes).toEqual([]);
});

test('a layer compressed with zstd is reported, in an archive and inside gzip', async () => {
  await using folder = await temporaryFolder();
  const cwd = folder.path;
  await writeFile(join(cwd, 'layer'), noise(300_000, 'z'));
  await execa('zstd', ['-q', 'layer'], { cwd });
  await execa('tar', ['-cf', 'a.tar', 'layer.zst'], { cwd });
  await execa('gzip', ['-k', 'a.tar'], { cwd });
  const refusal = { code: 'LAYER_COMPRESSED', message: expect.stringContaining('.zst') };
  expect(await apart(await readFile(join(cwd, 'a.tar')))).toMatchObject({ recipes: [], refusal });
  const zipped = await apart(await readFile(join(cwd, 'a.tar.gz')));
  expect(zipped).toMatchObject({ refusal });
  expect(zipped.recipes.map(({ codec }) => codec.name)).toEqual(['splice', 'deflate']);
  expect((await apart(await readFile(join(cwd, 'layer.zst')))).refusal).toBeUndefined();
});
