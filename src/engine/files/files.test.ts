import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { sourceRuns } from '../../core/io/disk-run.ts';
import { openSource } from '../../core/io/source.ts';
import { silent } from '../../core/progress/progress.ts';
import { applyDelta } from '../../formats/delta/apply.ts';
import { encodeRuns } from '../../formats/delta/encode.ts';
import { type MetalCache, openMetalCache } from '../cache/metal-cache.ts';
import { assembleBase } from './assemble.ts';
import { decodeContents } from './contents.ts';
import { openImageArchive, openLayoutFolder } from './images/layout.ts';
import { makeBase } from './make-base.ts';
import { openFolderSource } from './sources/folder.ts';
import { openImageSource } from './sources/image.ts';
import { openIsoSource } from './sources/iso.ts';
import type { ContentSource } from './sources/source.ts';

let work = '';
let cache: MetalCache;
const at = (...names: string[]) => join(work, ...names);
/** Bytes that do not compress well, the same in every run. */
function noise(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed + 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** 60 files of all sizes, some of them alike, and a disk with ext4 that holds them. */
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'files-'));
  await mkdir(at('tree/usr/lib'), { recursive: true });
  for (let i = 0; i < 50; i++) {
    await writeFile(at(`tree/usr/lib/f${i}`), noise(i, 1 + i * i * 97));
    // Of one size, so that none of them is known by it.
    await writeFile(at(`tree/usr/lib/same${i}`), noise(1000 + i, 5000));
  }
  await writeFile(at('tree/usr/copy'), noise(7, 1 + 49 * 97));
  await writeFile(at('tree/usr/large'), noise(99, 3 << 20));
  await writeFile(at('tree/usr/zeros'), Buffer.alloc(300_000));
  await writeFile(at('tree/empty'), '');
  await execa('truncate', ['-s', '64M', at('disk.raw')]);
  await execa('mkfs.ext4', ['-q', '-d', at('tree'), at('disk.raw')]);
  await execa('mksquashfs', [
    at('tree'),
    at('root.squashfs'),
    '-comp',
    'zstd',
    '-b',
    '128K',
    '-quiet',
    '-no-progress',
  ]);
  await execa('mkfs.erofs', ['--quiet', '-zlz4', at('root.erofs'), at('tree')]);
  await mkdir(at('live/LiveOS'), { recursive: true });
  await execa('cp', ['--sparse=always', at('disk.raw'), at('live/LiveOS/rootfs.img')]);
  await execa('mksquashfs', [at('live'), at('nested.squashfs'), '-quiet', '-no-progress']);
  await container();
  cache = await openMetalCache({ dir: at('cache'), maxBytes: 2 ** 40 });
}, 300_000);
afterAll(async () => {
  await cache?.[Symbol.asyncDispose]();
  await rm(work, { recursive: true, force: true });
});

/** An image of four layers, one of which deletes a file, in the forms that skopeo writes. */
async function container(): Promise<void> {
  await mkdir(at('docker'), { recursive: true });
  const layers: string[] = [];
  const layer = async (name: string, folder: string, ...paths: string[]) => {
    await execa('tar', ['-C', folder, '-cf', at('docker', `${name}.tar`), ...paths]);
    layers.push(`${name}.tar`);
  };
  const some = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => [
      `usr/lib/f${from + i}`,
      `usr/lib/same${from + i}`,
    ]).flat();
  await layer('a', at('tree'), ...some(0, 25));
  await layer('b', at('tree'), ...some(20, 50), 'empty');
  await layer('c', at('tree'), 'usr/large', 'usr/copy', 'usr/zeros');
  await mkdir(at('extra/usr/lib'), { recursive: true });
  await writeFile(at('extra/usr/lib/.wh.f40'), '');
  await writeFile(at('extra/usr/lib/more'), noise(5, 5000));
  await layer('d', at('extra'), 'usr');
  const config = {
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [] as string[] },
  };
  for (const name of layers) {
    const { stdout } = await execa('sha256sum', [at('docker', name)]);
    config.rootfs.diff_ids.push(`sha256:${stdout.slice(0, 64)}`);
  }
  await writeFile(at('docker/config.json'), JSON.stringify(config));
  const manifest = [{ Config: 'config.json', RepoTags: ['localhost/os:1'], Layers: layers }];
  await writeFile(at('docker/manifest.json'), JSON.stringify(manifest));
  await execa('tar', [
    '-C',
    at('docker'),
    '-cf',
    at('docker.tar'),
    'manifest.json',
    'config.json',
    ...layers,
  ]);
  const copy = (target: string, ...options: string[]) =>
    execa('skopeo', [
      'copy',
      '--quiet',
      '--insecure-policy',
      ...options,
      `docker-archive:${at('docker.tar')}`,
      target,
    ]);
  await copy(`oci:${at('oci')}:1`);
  await copy(`oci-archive:${at('oci.tar')}:1`, '--dest-compress-format', 'zstd');
}

async function isoOf(image: string) {
  const { size } = await stat(at(image));
  const scratch = await cache.scratch();
  return openIsoSource({
    iso: at(image),
    rootImage: { path: image, offset: 0, length: size },
    scratch,
  });
}

const SOURCES: Readonly<Record<string, () => Promise<ContentSource & Partial<AsyncDisposable>>>> = {
  squashfs: () => isoOf('root.squashfs'),
  erofs: () => isoOf('root.erofs'),
  'an ext4 in a squashfs': () => isoOf('nested.squashfs'),
  'an OCI layout': async () => openImageSource(await openLayoutFolder(at('oci')), 'x86_64'),
  'one by its tag': async () => openImageSource(await openLayoutFolder(at('oci'), '1'), 'x86_64'),
  'an OCI archive': async () => openImageSource(await openImageArchive(at('oci.tar')), 'x86_64'),
  'a docker archive': async () =>
    openImageSource(await openImageArchive(at('docker.tar')), 'x86_64'),
  'a folder': () => openFolderSource(at('tree')),
};

async function make(sources: readonly ContentSource[], name = 'disk.raw') {
  await using disk = await openSource(at(name));
  await using iso = await isoOf('root.squashfs');
  const made = await makeBase({ iso, others: sources, disk, cache, progress: silent });
  await using base = made.source;
  const chunks: Buffer[] = [];
  const sink = {
    write: async (chunk: Uint8Array) => void chunks.push(Buffer.from(chunk)),
    zeros: async (length: number) => void chunks.push(Buffer.alloc(length)),
  };
  const { literalBytes } = await encodeRuns({ base, target: sourceRuns(disk), sink });
  return { ...made, delta: Buffer.concat(chunks), literalBytes };
}

describe('the base of an ISO', () => {
  test('gives the disk, and is the same from every source', async () => {
    const made = await make([]);
    expect(made.lacking.count).toBe(0);
    // The file system's own.
    expect(made.literalBytes).toBeLessThan(400_000);
    const list = decodeContents(Buffer.from(made.list), 'list');
    // All that are not empty or all zeros, each once.
    expect(list.count).toBe(101);
    for (const [name, open] of Object.entries(SOURCES)) {
      if (name.startsWith('a docker') || name.includes('OCI') || name.includes('tag')) continue;
      await cache.evict(made.base.sha256);
      const { source } = await assembleBase({
        list,
        base: made.base,
        sources: [open],
        cache,
        progress: silent,
      });
      await source.close();
    }
    await using base = (await cache.lookup(made.base)) ?? (await openSource('/nothing'));
    const disk: Buffer[] = [];
    await applyDelta({
      base,
      delta: (async function* () {
        yield made.delta;
      })(),
      sink: {
        write: async (chunk) => void disk.push(Buffer.from(chunk)),
        zeros: async (length) => void disk.push(Buffer.alloc(length)),
      },
      expected: { size: 64 << 20 },
    });
    await using original = await openSource(at('disk.raw'));
    const expected = Buffer.alloc(original.size);
    await original.read(expected, 0);
    expect(Buffer.concat(disk).equals(expected)).toBe(true);
  }, 300_000);
});

describe('the base of an ISO and a container', () => {
  test('has the common contents; the rest is reported, and in the delta', async () => {
    const image = await openImageSource(await openLayoutFolder(at('oci')), 'x86_64');
    const made = await make([image]);
    expect(made.lacking).toEqual({
      count: 1,
      bytes: 1 + 40 * 40 * 97,
      largest: [{ path: 'usr/lib/f40', size: 1 + 40 * 40 * 97 }],
    });
    const list = decodeContents(Buffer.from(made.list), 'list');
    expect(list.count).toBe(100);
    for (const open of Object.values(SOURCES)) {
      await cache.evict(made.base.sha256);
      const { source } = await assembleBase({
        list,
        base: made.base,
        sources: [open],
        cache,
        progress: silent,
      });
      await source.close();
    }
  }, 300_000);

  test('contents that a source lacks come from another one, or are reported', async () => {
    const made = await make([]);
    const list = decodeContents(Buffer.from(made.list), 'list');
    const oci = SOURCES['an OCI layout'];
    const folder = SOURCES['a folder'];
    if (!oci || !folder) expect.unreachable();
    await cache.evict(made.base.sha256);
    await mkdir(at('nothing'), { recursive: true });
    const options = { list, base: made.base, cache, progress: silent };
    await expect(
      assembleBase({ ...options, sources: [() => openFolderSource(at('nothing'))] }),
    ).rejects.toMatchObject({ code: 'FILES_LACKING', context: { lacking: 101 } });
    const { source, from } = await assembleBase({
      ...options,
      sources: [() => openFolderSource(at('extra')), oci, folder],
    });
    expect(from).toHaveLength(2); // layers keep what a later one deletes
    await source.close();
  }, 300_000);
});

describe('an OSTree repository', () => {
  test.each(['archive', 'bare-user', 'bare'])(
    'mode %s',
    async (mode) => {
      const repo = at(`repo-${mode}`);
      await execa('ostree', [`--repo=${repo}`, 'init', `--mode=${mode}`]);
      await execa('ostree', [
        `--repo=${repo}`,
        'commit',
        '-b',
        'os',
        '--owner-uid=0',
        '--owner-gid=0',
        `--tree=dir=${at('tree')}`,
      ]);
      const made = await make([]);
      const list = decodeContents(Buffer.from(made.list), 'list');
      await cache.evict(made.base.sha256);
      const { source } = await assembleBase({
        ...{ list, base: made.base, cache, progress: silent },
        sources: [() => openFolderSource(repo)],
      });
      await source.close();
    },
    120_000,
  );
});

/**
 * As bootc's composefs backend lays a disk out, with what the real mkcomposefs makes of the files: each content is an
 * object under its fs-verity digest, and an erofs image holds the names and the smallest file.
 */
test('a disk whose files are composefs objects takes a small delta all the same', async () => {
  const root = at('composefs-root');
  const contents = new Map<string, Buffer>();
  for (const name of await readdir(at('tree/usr/lib'))) {
    const bytes = await readFile(at('tree/usr/lib', name));
    contents.set(createHash('sha256').update(bytes).digest('hex'), bytes);
  }
  const folder = new URL('../../../test/golden/composefs/', import.meta.url);
  const objects = (await readFile(new URL('objects.txt', folder), 'utf8')).trim().split('\n');
  expect(objects).toHaveLength(99);
  for (const line of objects) {
    const [sha256 = '', name = ''] = line.split('  ');
    const object = join(root, 'composefs/objects', name);
    await mkdir(dirname(object), { recursive: true });
    await writeFile(object, contents.get(sha256) ?? expect.unreachable(name));
  }
  const image = golden('composefs/image.cfs');
  const digest = (await readFile(new URL('image.digest', folder), 'utf8')).trim();
  await mkdir(join(root, 'composefs/images'));
  await writeFile(join(root, 'composefs/images', digest), image);
  await execa('truncate', ['-s', '64M', at('composefs.raw')]);
  await execa('mkfs.ext4', ['-q', '-d', root, at('composefs.raw')]);
  const made = await make([], 'composefs.raw');
  expect(made.lacking.count).toBe(0);
  expect(decodeContents(Buffer.from(made.list), 'list').count).toBe(99);
  expect(made.literalBytes).toBeLessThan(400_000 + image.length);
}, 300_000);

/** Runs buildah with storage of its own. */
async function buildah(...args: string[]): Promise<string> {
  const storage = ['--root', at('storage'), '--runroot', at('run'), '--storage-driver', 'vfs'];
  const env = { BUILDAH_ISOLATION: 'chroot', TMPDIR: work };
  return (await execa('buildah', [...storage, ...args], { env })).stdout.trim();
}

test('50 layers by buildah: relabelled, and with whiteouts and an opaque folder', async () => {
  const layers = 49;
  const names = await readdir(at('tree/usr/lib'));
  for (const [index, name] of names.entries()) {
    // Five contents are in a folder that the last layer makes anew.
    const folder = /^f4[5-9]$/.test(name) ? 'usr/share' : 'usr/lib';
    const copy = at('context', `l${index % layers}`, folder);
    await mkdir(copy, { recursive: true });
    await execa('cp', [at('tree/usr/lib', name), copy]);
  }
  await execa('cp', ['-r', at('tree/usr/large'), at('tree/usr/copy'), at('context/l0/usr')]);
  const relabel = `import os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        os.setxattr(os.path.join(folder, name), "user.label", b"system_u:object_r:other_t:s0")`;
  await execa('python3', ['-c', relabel, at('context')]);
  const copies = Array.from({ length: layers }, (_, i) => `COPY --chown=${i}:7 l${i} /\n`);
  await writeFile(at('context/Containerfile'), `FROM scratch\n${copies.join('')}`);
  await buildah('build', '--arch', 'amd64', '--quiet', '--layers', '--tag', 'all', at('context'));
  const container = await buildah('from', '--arch', 'amd64', 'all');
  const root = await buildah('mount', container);
  await rm(join(root, 'usr/lib/f40'));
  await writeFile(join(root, 'usr/lib/f41'), 'changed');
  await rm(join(root, 'usr/share'), { recursive: true });
  await mkdir(join(root, 'usr/share'));
  await writeFile(join(root, 'usr/share/README'), 'made anew');
  await buildah('commit', '--quiet', container, `oci:${at('buildah')}:os`);

  const open = async () => openImageSource(await openLayoutFolder(at('buildah')), 'x86_64');
  const made = await make([await open()]);
  const gone = [49, 48, 47, 46, 45, 41, 40].map((i) => `usr/lib/f${i}`);
  expect(made.lacking.largest.map(({ path }) => path)).toEqual(gone);
  expect(made.lacking.count).toBe(7);
  await cache.evict(made.base.sha256);
  const list = decodeContents(Buffer.from(made.list), 'list');
  const { source } = await assembleBase({
    ...{ list, base: made.base, sources: [open], cache, progress: silent },
  });
  await source.close();
  const { stdout } = await execa('skopeo', ['inspect', '--raw', `oci:${at('buildah')}:os`]);
  expect(JSON.parse(stdout).layers).toHaveLength(50);
}, 600_000);
