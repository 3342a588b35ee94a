import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type Pack, pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestLengthFor, toList } from './contents.ts';
import { openImageArchive, openLayoutFolder } from './images/layout.ts';
import { makeFile } from './make-file.ts';
import { openImageSource } from './sources/image.ts';
import type { FoundContent } from './sources/source.ts';

/** Container images made by an attacker: they give an error or their valid parts, and write nothing outside the base. */
let work = '';
const at = (...names: string[]) => join(work, ...names);
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'hostile-layers-'));
});
afterAll(() => rm(work, { recursive: true, force: true }));

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');

type Header = Parameters<Pack['entry']>[0];
type Entry = Partial<Header> & Pick<Header, 'name'> & { readonly body?: string };

async function tarOf(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const { body, ...header } of entries) archive.entry(header, body ?? '');
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Corrects the checksum of the first header. */
function sign(tar: Buffer): void {
  tar.write('        ', 148, 'latin1');
  const sum = tar.subarray(0, 512).reduce((all, byte) => all + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

let images = 0;

/** An OCI layout with an image of these layers. */
async function layoutOf(...layers: readonly Buffer[]): Promise<string> {
  const folder = at(`image${images++}`);
  await mkdir(join(folder, 'blobs/sha256'), { recursive: true });
  const add = async (bytes: Uint8Array | string) => {
    const digest = sha256(bytes);
    await writeFile(join(folder, 'blobs/sha256', digest), bytes);
    return { digest: `sha256:${digest}`, size: Buffer.byteLength(bytes) };
  };
  const described = [];
  for (const layer of layers) described.push(await add(layer));
  const config = await add(JSON.stringify({ architecture: 'amd64', os: 'linux' }));
  const manifest = await add(JSON.stringify({ schemaVersion: 2, config, layers: described }));
  await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(
    join(folder, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [manifest] }),
  );
  return folder;
}

/** The findings of a survey, and the contents of a base of `wanted`; both leave nothing but the base behind. */
async function read(folder: string, wanted: readonly string[] = ['good']) {
  const source = await openImageSource(await openLayoutFolder(folder), 'x86_64');
  const found = await source.survey({ threads: 1 });
  const contents: FoundContent[] = wanted.map((text) => ({
    sha256: sha256(text) as FoundContent['sha256'],
    size: text.length,
    path: '',
  }));
  const list = toList(contents, digestLengthFor(contents));
  const scratch = at(`scratch${images}`);
  await mkdir(scratch, { recursive: true });
  const base = join(scratch, 'base');
  await makeFile(base, list.baseSize);
  const states = new SharedArrayBuffer(4 * list.count);
  await source.fill({ base, scratch, list, states }, { threads: 1 });
  expect(await readdir(scratch)).toEqual(['base']);
  await rm(scratch, { recursive: true });
  return { paths: found.map(({ path }) => path), states: [...new Int32Array(states)] };
}

const good: Entry = { name: 'usr/good', body: 'good' };
const code = (expected: string) => expect.objectContaining({ code: expected });

describe('hostile layers', () => {
  test.each([
    ['a path that leads out', { name: '../../etc/cron.d/evil', body: 'x' }],
    ['an absolute path that leads out', { name: '/usr/../../evil', body: 'x' }],
    ['a hard link that leads out', { name: 'a', type: 'link', linkname: '../../etc/shadow' }],
  ] as [string, Entry][])('%s is an error', async (_, entry) => {
    const folder = await layoutOf(gzipSync(await tarOf([good, entry])));
    await expect(read(folder)).rejects.toEqual(code('TAR_PATH'));
  });

  test('devices, pipes and symbolic links are nothing, wherever they lead', async () => {
    const lower = await tarOf([
      { name: 'dev/sda', type: 'block-device', devmajor: 8, devminor: 0 },
      { name: 'dev/null', type: 'character-device', devmajor: 1, devminor: 3 },
      { name: 'pipe', type: 'fifo' },
      { name: 'out', type: 'symlink', linkname: at() },
      good,
    ]);
    // Through the link of the layer below: for a reader that follows it, this is a file outside.
    const upper = await tarOf([{ name: 'out/escaped', body: 'escaped' }]);
    const folder = await layoutOf(gzipSync(lower), zstdCompressSync(upper));
    expect(await read(folder, ['good', 'escaped'])).toEqual({
      paths: ['usr/good', 'out/escaped'],
      states: [2, 2],
    });
    expect(await readdir(work)).not.toContain('escaped');
  });

  test('of several files of one name, the last counts', async () => {
    const twice = await tarOf([{ ...good, body: 'evil' }, good, good]);
    expect(await read(await layoutOf(twice))).toEqual({ paths: ['usr/good'], states: [2] });
  });

  test('more bytes than any system has: refused before they are unpacked', async () => {
    const huge = await tarOf([good]);
    // GNU's base 256, for what does not fit into octal digits.
    huge.fill(0, 124, 136).writeUInt8(0x80, 124);
    huge.writeBigUInt64BE(65n << 30n, 128);
    sign(huge);
    await expect(read(await layoutOf(huge))).rejects.toEqual(code('TAR_TOO_LARGE'));
    const size = '26 size=99999999999999999\n';
    const pax = await tarOf([{ name: 'x', body: size }, good]);
    pax.write('x', 156, 'latin1');
    sign(pax);
    await expect(read(await layoutOf(pax))).rejects.toEqual(code('TAR'));
  });

  test('more files than any system has', async () => {
    const thousand = await tarOf(Array.from({ length: 1000 }, (_, i) => ({ name: `f${i}` })));
    const members = gzipSync(thousand.subarray(0, 512_000), { level: 1 });
    const layer = Buffer.concat(Array.from({ length: 1001 }, () => members));
    await expect(read(await layoutOf(layer))).rejects.toEqual(code('TAR_TOO_LARGE'));
  }, 120_000);

  test('a gigabyte of zeros in a megabyte of gzip takes neither memory nor disk', async () => {
    const zeros = gzipSync(Buffer.alloc(64 << 20));
    const tar = await tarOf([good]);
    const bomb = Buffer.concat([gzipSync(tar), ...Array.from({ length: 16 }, () => zeros)]);
    const before = process.memoryUsage().rss;
    expect((await read(await layoutOf(bomb))).states).toEqual([2]);
    expect(process.memoryUsage().rss - before).toBeLessThan(200 << 20);
  }, 120_000);

  test('a layer that is cut off, damaged, or something else', async () => {
    const whole = gzipSync(await tarOf([good, { name: 'b', body: 'b'.repeat(5000) }]));
    await expect(read(await layoutOf(whole.subarray(0, -20)))).rejects.toEqual(
      code('LAYER_DAMAGED'),
    );
    await expect(read(await layoutOf(Buffer.from('no tar'.repeat(100))))).rejects.toEqual(
      code('TAR'),
    );
  });
});

describe('hostile layouts', () => {
  test('a blob that is a link to a file elsewhere is none', async () => {
    const folder = await layoutOf(await tarOf([good]));
    await writeFile(at('elsewhere'), await tarOf([good]));
    for (const name of await readdir(join(folder, 'blobs/sha256'))) {
      await rm(join(folder, 'blobs/sha256', name));
      await symlink(at('elsewhere'), join(folder, 'blobs/sha256', name));
    }
    await expect(read(folder)).rejects.toEqual(code('BLOB_MISSING'));
  });

  test('an index that contains itself, or too many', async () => {
    const folder = await layoutOf(await tarOf([good]));
    // A digest cannot be that of its own container, but digests can be nested deeply.
    let inner = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [] }));
    for (let depth = 0; depth < 6; depth++) {
      const digest = sha256(inner);
      await writeFile(join(folder, 'blobs/sha256', digest), inner);
      const entry = { digest: `sha256:${digest}`, size: inner.length };
      inner = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [entry, entry] }));
    }
    await writeFile(join(folder, 'index.json'), inner);
    await expect(read(folder)).rejects.toEqual(code('IMAGE_INDEX'));
  });

  const dockerArchive = async (layer: string, ...more: Entry[]) => {
    const manifest = [{ Config: 'config.json', Layers: ['a/layer.tar', layer] }];
    const file = at(`docker${images++}.tar`);
    const inner = (await tarOf([good])).toString('latin1');
    await writeFile(
      file,
      await tarOf([
        { name: 'config.json', body: JSON.stringify({ architecture: 'amd64' }) },
        { name: 'manifest.json', body: JSON.stringify(manifest) },
        { name: 'a/layer.tar', body: inner },
        ...more,
      ]),
    );
    return openImageSource(await openImageArchive(file), 'x86_64');
  };

  test.each(['../../etc/passwd', '/etc/passwd', 'elsewhere'])(
    'the name of a layer is one in the archive: %s',
    async (name) => {
      await expect(dockerArchive(name)).rejects.toEqual(code('BLOB_MISSING'));
    },
  );

  test('a layer that is a link to another one in the archive, as docker save writes it', async () => {
    const link = { name: 'b/layer.tar', type: 'symlink', linkname: '../a/layer.tar' } as const;
    const source = await dockerArchive('b/layer.tar', link);
    expect(await source.survey({ threads: 1 })).toMatchObject([{ path: 'usr/good', size: 4 }]);
  });

  test.each(['../../../etc/passwd', '/etc/passwd', 'layer.tar'])(
    'a link that leads out of the archive, or nowhere: %s',
    async (linkname) => {
      const link = { name: 'b/layer.tar', type: 'symlink', linkname } as const;
      await expect(dockerArchive('b/layer.tar', link)).rejects.toEqual(code('BLOB_MISSING'));
    },
  );
});
