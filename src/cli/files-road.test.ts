import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli } from '../../test/support/cli.ts';
import { fileServer } from '../../test/support/file-server.ts';
import { pushIndex } from '../../test/support/push-index.ts';
import { registryServer } from '../../test/support/registry-server.ts';
import { openBundle } from '../bundle/read.ts';

const ARCHES = [
  { arch: 'x86_64', oci: 'amd64', kernel: 'images/pxeboot/vmlinuz', mark: 'HdrS', at: 0x202 },
  { arch: 's390x', oci: 's390x', kernel: 'images/pxeboot/kernel.img', mark: 'S390EP', at: 0x10008 },
] as const;

let work = '';
const at = (...names: string[]) => join(work, ...names);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

function noise(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed + 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** What each image of the release unpacks to. */
const promised = new Map<string, string>();

/**
 * A release without osmets: ISOs as image-builder lays generic ones out, a disk with the same files in an ext4, and
 * platform images of it by qemu-img. And the files as a container image, for both architectures in one index.
 */
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'files-road-'));
  await mkdir(at('release'));
  const architectures: Record<string, unknown> = {};
  for (const one of ARCHES) architectures[one.arch] = { artifacts: await release(one) };
  await writeFile(at('stream.json'), JSON.stringify({ stream: 'test', architectures }));
}, 600_000);
afterAll(() => rm(work, { recursive: true, force: true }));

async function release({ arch, oci, kernel, mark, at: offset }: (typeof ARCHES)[number]) {
  const tree = at(arch, 'tree');
  await mkdir(join(tree, 'usr/lib/modules'), { recursive: true });
  for (let i = 0; i < 40; i++) {
    await writeFile(join(tree, `usr/lib/f${i}`), noise(i * 100 + arch.length, 100 + i * i * 50));
  }
  await writeFile(join(tree, 'usr/lib/modules/vmlinuz'), noise(5000 + arch.length, 1 << 20));
  const disk = at(arch, 'disk.raw');
  await execa('truncate', ['-s', '24M', disk]);
  await execa('mkfs.ext4', ['-q', '-d', tree, disk]);
  const iso = at(arch, 'iso');
  await mkdir(join(iso, 'LiveOS'), { recursive: true });
  await mkdir(join(iso, 'images/pxeboot'), { recursive: true });
  await execa('mksquashfs', [tree, join(iso, 'LiveOS/squashfs.img'), '-quiet', '-no-progress']);
  const kernelBytes = noise(1, 0x11000);
  kernelBytes.write(mark, offset, 'latin1');
  await writeFile(join(iso, kernel), kernelBytes);
  await execa('xorriso', [
    '-as',
    'mkisofs',
    '-quiet',
    '-R',
    '-o',
    at('release', `${arch}.iso`),
    iso,
  ]);

  const artifacts: Record<string, { release: string; formats: Record<string, unknown> }> = {};
  const add = async (platform: string, format: string, role: string, file: string) => {
    const bytes = await readFile(at('release', file));
    const name = file.replace(/\.xz$/, '');
    const plain = file.endsWith('.xz') ? await readFile(at(arch, name)) : bytes;
    promised.set(name, sha256(plain));
    artifacts[platform] ??= { release: '1', formats: {} };
    const uncompressed = plain === bytes ? {} : { 'uncompressed-sha256': sha256(plain) };
    const location = `https://example.com/${file}`;
    artifacts[platform].formats[format] = {
      [role]: { location, sha256: sha256(bytes), ...uncompressed },
    };
  };
  const pack = async (name: string, from: string) => {
    await execa('cp', [from, at(arch, name)]).catch(() => {});
    await writeFile(at('release', `${name}.xz`), await xz(from));
  };
  await execa('cp', [disk, at(arch, `${arch}-metal.raw`)]);
  await writeFile(at('release', `${arch}-metal.raw.xz`), await xz(disk));
  const qemu = at(arch, `${arch}-qemu.qcow2`);
  await execa('qemu-img', ['convert', '-O', 'qcow2', disk, qemu]);
  await pack(`${arch}-qemu.qcow2`, qemu);
  await writeFile(at('release', `${arch}-kernel`), kernelBytes);
  await add('metal', 'raw.xz', 'disk', `${arch}-metal.raw.xz`);
  await add('metal', 'iso', 'disk', `${arch}.iso`);
  await add('qemu', 'qcow2.xz', 'disk', `${arch}-qemu.qcow2.xz`);
  await container(arch, oci, tree);
  return artifacts;
}

async function xz(path: string): Promise<Buffer> {
  const { stdout } = await execa('xz', ['-0', '-c', path], {
    encoding: 'buffer',
    maxBuffer: 2 ** 28,
  });
  return Buffer.from(stdout);
}

/** Two layers; a file of the first is deleted in the second one. */
async function container(arch: string, oci: string, tree: string): Promise<void> {
  const folder = at(arch, 'docker');
  await mkdir(join(folder, 'top/usr/lib'), { recursive: true });
  await execa('tar', ['-C', tree, '-cf', join(folder, 'a.tar'), 'usr']);
  await writeFile(join(folder, 'top/usr/lib/.wh.f30'), '');
  await writeFile(join(folder, 'top/usr/lib/f31'), noise(31, 700)); // changed, as by an update
  await execa('tar', ['-C', join(folder, 'top'), '-cf', join(folder, 'b.tar'), 'usr']);
  const diffs: string[] = [];
  for (const name of ['a.tar', 'b.tar'])
    diffs.push(`sha256:${sha256(await readFile(join(folder, name)))}`);
  const config = { architecture: oci, os: 'linux', rootfs: { type: 'layers', diff_ids: diffs } };
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  const images = [
    { Config: 'config.json', RepoTags: ['localhost/os:1'], Layers: ['a.tar', 'b.tar'] },
  ];
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(images));
  const archive = at(`${arch}.tar`);
  await execa('tar', [
    '-C',
    folder,
    '-cf',
    archive,
    'manifest.json',
    'config.json',
    'a.tar',
    'b.tar',
  ]);
}

const readJson = async (path: string) => JSON.parse(await readFile(path, 'utf8'));

const base = () => ['--cache-dir', at('cache'), '--quiet'];

async function dehydrate(bundle: string, ...options: string[]) {
  const made = await cli([
    ...['dehydrate', '--stream', at('stream.json'), '--artifacts', at('release')],
    ...(options.includes('--arch') ? [] : ['--arch', 'all']),
    ...['-o', at(bundle), ...base(), ...options],
  ]);
  expect(made.stderr).toBe('');
  expect(made.code).toBe(0);
  return made.stdout.toString();
}

async function rehydrate(bundle: string, out: string, ...options: string[]) {
  await rm(at('cache', 'metal'), { recursive: true, force: true });
  await mkdir(at(out), { recursive: true });
  return cli([
    ...['rehydrate', '--bundle', at(bundle), '--platform', 'all'],
    ...(options.includes('--arch') ? [] : ['--arch', 'all']),
    ...['-o', at(out), ...base(), ...options],
  ]);
}

async function expectImages(out: string, names: readonly string[]) {
  expect((await readdir(at(out))).sort()).toEqual([...names].sort());
  for (const name of names) {
    expect(sha256(await readFile(at(out, name))), name).toBe(promised.get(name));
  }
}

describe('ISOs without osmet, of two architectures', () => {
  test('every image comes from the ISO', async () => {
    await dehydrate('plain');
    const { recipes } = await openBundle(at('plain'));
    for (const { schemaVersion, files, bases } of recipes) {
      expect(schemaVersion).toBe(3); // which an older program refuses
      expect(files).toMatchObject({ iso: true, containers: [], count: 41, lacking: { count: 0 } });
      expect(bases.metal?.delta?.size).toBeLessThan(20_000);
    }
    const made = await rehydrate('plain', 'out-iso');
    expect(made.stderr).toBe('');
    await expectImages('out-iso', [...promised.keys()]);
  }, 300_000);

  test('the same release gives the same bundle', async () => {
    await dehydrate('again');
    expect((await openBundle(at('again'))).digest).toBe((await openBundle(at('plain'))).digest);
  }, 300_000);

  test('the error for a missing installer in the ISO says so', async () => {
    const made = await rehydrate('plain', 'out-qemu', '--engine', 'qemu');
    expect(made.code).toBe(5);
    expect(made.stderr).toContain('the ISO has no osmet');
    expect(made.stderr).toContain('leave --engine out');
    const first = await cli([
      ...['dehydrate', '--stream', at('stream.json'), '--artifacts', at('release')],
      ...['-o', at('never'), '--engine', 'both', '--arch', 'x86_64', ...base()],
    ]);
    expect(first.code).toBe(5);
    expect(first.stderr).toContain('--base files');
    const osmet = await cli([
      ...['dehydrate', '--stream', at('stream.json'), '--artifacts', at('release')],
      ...['-o', at('never'), '--base', 'osmet', '--arch', 'x86_64', ...base()],
    ]);
    expect(osmet.code).toBe(5);
  }, 60_000);
});

describe('with a container image beside the ISO', () => {
  test('from archives, a registry and folders, with no ISO on the machine', async () => {
    await using server = await registryServer(at('registry'));
    for (const { arch } of ARCHES) {
      await execa('skopeo', [
        ...['copy', '--quiet', '--insecure-policy', '--dest-tls-verify=false', '--format', 'oci'],
        ...[`docker-archive:${at(`${arch}.tar`)}`, `docker://${server.host}/os/all:${arch}`],
      ]);
    }
    await pushIndex(
      server.host,
      'os/all',
      '1',
      ARCHES.map(({ arch }) => arch),
    );
    const image = `${server.host}/os/all:1`;
    const text = await dehydrate('both', '--iso-external', '--container', image);
    expect(text).toContain(`disks made from 39 files`);
    expect(text).toContain('2 files (');
    expect(text).toContain('  usr/lib/f31: ');
    const { recipes } = await openBundle(at('both'));
    for (const { files } of recipes) {
      expect(files).toMatchObject({ iso: true, containers: [image], count: 39 });
      expect(files?.lacking).toMatchObject({
        count: 2,
        largest: [{ path: 'usr/lib/f31' }, { path: 'usr/lib/f30' }],
      });
    }
    const made = await rehydrate('both', 'out-registry', '--container', image);
    expect(made.code).toBe(0);
    const disks = [...promised.keys()].filter((name) => !name.endsWith('.iso'));
    await expectImages('out-registry', disks);

    for (const { arch } of ARCHES) {
      for (const container of [at(`${arch}.tar`), at(arch, 'tree')]) {
        const out = `out-${arch}-${container.endsWith('.tar') ? 'archive' : 'folder'}`;
        const one = await rehydrate('both', out, '--container', container, '--arch', arch);
        expect(one.stderr).toBe('');
        await expectImages(
          out,
          disks.filter((name) => name.startsWith(arch)),
        );
      }
    }
    const wrong = await rehydrate(
      'both',
      'out-none',
      '--container',
      at('release'),
      '--arch',
      's390x',
    );
    expect(wrong.code).toBe(5);
    expect(wrong.stderr).toContain('lacks 39 of the 39 files');
    const audited = await cli([
      ...['audit', '--bundle', at('both'), '--report', at('audit'), '--container', image],
      ...['--platform', 'qemu', ...base()],
    ]);
    expect(audited.code).toBe(0);
  }, 560_000);

  test('images made from the ISO itself are left out, and named', async () => {
    const image = ['--container', at('x86_64.tar')];
    const options = ['--bundle', at('both'), ...image, '--arch', 'x86_64', ...base()];
    const whole = await cli(['audit', ...options, '--report', at('audit-all')]);
    expect(whole.stderr).toBe('');
    expect(whole.code).toBe(0);
    expect(whole.stdout.toString()).not.toContain('iso');
    const report = await readJson(at('audit-all/audit.json'));
    expect(report).toMatchObject({ verdict: 'GOOD', architectures: [{ leftOut: ['metal/iso'] }] });
    expect(await readFile(at('audit-all/audit.md'), 'utf8')).toContain('Not judged');
    expect(await readFile(at('audit-all/audit.html'), 'utf8')).toContain('not judged');

    // A report over it can be compared with the bundle, but not one that leaves out more.
    const merge = ['audit', '--merge', at('audit-all'), '--bundle', at('both')];
    expect((await cli([...merge, '--report', at('merged')])).code).toBe(0);
    expect(await readJson(at('merged/audit.json'))).toMatchObject({
      architectures: [{ leftOut: ['metal/iso'] }],
    });
    const [only] = report.architectures;
    only.leftOut.push('qemu');
    only.artifacts = only.artifacts.filter((one: { label: string }) => one.label !== 'qemu');
    report.counts.GOOD = only.artifacts.length;
    await writeFile(at('audit-all/audit.json'), JSON.stringify(report));
    expect((await cli([...merge, '--report', at('merged-2')])).code).toBe(4);

    // An artifact that is requested by name is not left out.
    const named = ['audit', ...options, '--report', at('audit-iso'), '--platform'];
    expect((await cli([...named, 'metal/iso'])).code).toBe(2);
    expect((await cli([...named, 'metal/iso,qemu'])).code).toBe(2);
  }, 300_000);

  test('the ISO of a bundle in a registry is not fetched', async () => {
    await using server = await registryServer(at('registry-2'));
    const bundle = `${server.host}/bundle:1`;
    const pushed = await cli(['push', '--bundle', at('plain'), bundle, '--quiet']);
    expect(pushed.code).toBe(0);
    const [recipes] = (await openBundle(at('plain'))).recipes;
    const cache = at('cache-registry');
    const run = async (out: string, ...options: string[]) =>
      cli([
        ...['rehydrate', '--bundle', bundle, '--arch', 'x86_64', '--platform', 'all'],
        ...['-o', at(out), '--cache-dir', cache, ...options],
      ]);
    await mkdir(at('out-remote'));
    const made = await run('out-remote', '--container', at('x86_64/tree'));
    expect(made.code).toBe(0);
    expect(made.stderr).toContain('left out metal/iso');
    await expectImages('out-remote', ['x86_64-metal.raw', 'x86_64-qemu.qcow2']);
    const kept = (await readdir(cache, { recursive: true })).map(String);
    expect(kept.filter((name) => name.includes(recipes?.iso.sha256 ?? ''))).toEqual([]);
  }, 300_000);

  test('--container is refused if nothing needs it, or if it is not a container', async () => {
    const made = await rehydrate(
      'plain',
      'out-x',
      '--container',
      'no such thing',
      '--arch',
      'x86_64',
    );
    expect(made.code).toBe(2);
    expect(made.stderr).toContain('neither a file or folder nor a registry reference');
  }, 60_000);
});

/** The options of a dehydrate of x86_64 alone, with the ISO outside of the bundle. */
const SMALL = ['--arch', 'x86_64', '--iso-external'];

describe('several sources', () => {
  test('the base holds the files that all sources have, and each source alone suffices', async () => {
    await execa('cp', ['-a', at('x86_64/tree'), at('less')]);
    await rm(at('less/usr/lib/f7'));
    await writeFile(at('less/usr/lib/f8'), 'changed');
    const both = ['--container', at('x86_64.tar'), '--container', at('less')];
    const text = await dehydrate('several', ...SMALL, ...both);
    expect(text).toContain('disks made from 37 files');
    const { recipes } = await openBundle(at('several'));
    expect(recipes[0]?.files).toMatchObject({
      containers: ['x86_64.tar', 'less'],
      lacking: { count: 4 },
    });
    const disks = [...promised.keys()].filter((name) => /^x86_64-(metal|qemu)/.test(name));
    for (const source of [
      ['--container', at('x86_64.tar')],
      ['--container', at('less')],
      ['--iso', at('release/x86_64.iso')],
    ]) {
      const out = `out-several-${source.at(-1)?.split('/').at(-1)}`;
      const made = await rehydrate(
        'several',
        out,
        '--arch',
        'x86_64',
        '-f',
        'raw,qcow2',
        ...source,
      );
      expect(made.stderr).toBe('');
      await expectImages(out, disks);
    }
  }, 300_000);

  test('estimate predicts which files a container lacks', async () => {
    const options = ['--stream', at('stream.json'), '--artifacts', at('release')];
    const cache = ['--cache-dir', at('cache')];
    const image = ['--arch', 'x86_64', '--container', at('x86_64.tar')];
    const made = await cli(['estimate', ...options, ...image, ...base()]);
    expect(made.stderr).toBe('');
    expect(made.stdout.toString()).toContain(
      'the containers have 39 of the 41 files of the ISO; the bundle would hold up to 2 files (',
    );
    expect(made.stdout.toString()).toContain('  usr/lib/f31: ');
    expect(made.stdout.toString()).toContain('dehydrate needs this image');
    const json = await cli(['estimate', ...options, '--json', ...image, ...cache]);
    expect(JSON.parse(json.stdout.toString()).architectures[0]).toMatchObject({
      files: { count: 41, lacking: { count: 2, largest: [{ path: 'usr/lib/f31' }, {}] } },
    });
    expect(await readdir(at('cache'))).toEqual(['metal']);
    const without = await cli(['estimate', '--stream', at('stream.json'), ...image]);
    expect(without.code).toBe(2);
    expect(without.stderr).toContain('ESTIMATE_ISO');
    const unused = await cli(['estimate', ...options, ...cache]);
    expect(unused.code).toBe(2);
  }, 120_000);

  test('with a container alone, the ISO is named and left out, and serve makes the rest', async () => {
    await rm(at('cache/metal'), { recursive: true, force: true });
    const container = ['--container', at('x86_64/tree')];
    const made = await cli([
      ...['rehydrate', '--bundle', at('several'), '--platform', 'all', '--arch', 'x86_64'],
      ...['-o', at('out-named'), '--cache-dir', at('cache'), '--json', ...container],
    ]);
    expect(made.code).toBe(0);
    expect(made.stderr).toContain('left out metal/iso: they are made from the ISO itself');
    await rm(at('cache/metal'), { recursive: true, force: true });

    const stop = new AbortController();
    const url = Promise.withResolvers<string>();
    const serving = cli(
      [
        ...['serve', '--bundle', at('several'), '--listen', '127.0.0.1:0', ...base()],
        ...['--images', at('images'), ...container],
      ],
      {
        signal: stop.signal,
        onStdout: (text) => {
          const found = /http:[^ ]*(?=\/stream\.json)/.exec(text)?.[0];
          if (found) url.resolve(found);
        },
      },
    );
    serving.then((ended) => url.reject(new Error(ended.stderr)));
    const at0 = await url.promise;
    const answer = await fetch(`${at0}/x86_64-qemu.qcow2`);
    expect(answer.status).toBe(200);
    expect(sha256(Buffer.from(await answer.arrayBuffer()))).toBe(promised.get('x86_64-qemu.qcow2'));
    const stream = JSON.stringify(await (await fetch(`${at0}/stream.json`)).json());
    expect(stream).toContain('x86_64-metal.raw');
    expect(stream).not.toContain('x86_64.iso');
    stop.abort();
    await serving;
  }, 120_000);

  test('--download fetches the metal image if the ISO has no osmet, or cannot be read', async () => {
    const files = new Map<string, Buffer>();
    for (const name of await readdir(at('release'))) {
      if (name.startsWith('x86_64')) files.set(name, await readFile(at('release', name)));
    }
    await using server = await fileServer(files);
    const stream = (await readFile(at('stream.json'), 'utf8')).replaceAll(
      'https://example.com',
      server.url,
    );
    await writeFile(at('stream-x.json'), stream);
    const download = async (to: string, ...more: string[]) => {
      server.requests.length = 0;
      const made = await cli([
        ...['dehydrate', '--stream', at('stream-x.json'), '--artifacts', at(`${to}-dl`)],
        ...['--download', '-o', at(to), ...SMALL, ...base(), ...more],
      ]);
      expect(made.stderr).toBe('');
      expect(server.requests.map((line) => line.split('/').at(-1)).sort()).toEqual([
        ...['x86_64-metal.raw.xz', 'x86_64-qemu.qcow2.xz', 'x86_64.iso'],
      ]);
    };
    await download('fetched');
    const digest = sha256(files.get('x86_64.iso') ?? Buffer.alloc(0));
    const bare = ['-as', 'mkisofs', '-quiet', '-R', '-o', at('bare.iso'), at('x86_64/iso/images')];
    await execa('xorriso', bare);
    const other = await readFile(at('bare.iso'));
    files.set('x86_64.iso', other);
    await writeFile(at('stream-x.json'), stream.replaceAll(digest, sha256(other)));
    await download('fetched-2', '--container', at('x86_64.tar'));
    expect((await openBundle(at('fetched-2'))).recipes[0]?.files?.iso).toBe(false);
  }, 300_000);
});
