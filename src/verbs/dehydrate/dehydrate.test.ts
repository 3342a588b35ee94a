import { readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { sha256Of, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import {
  type SyntheticRelease,
  writeSyntheticRelease,
} from '../../../test/support/synthetic-release.ts';
import { openBundle } from '../../bundle/read.ts';

function run(release: SyntheticRelease, bundle: string, ...more: string[]) {
  const argv = ['dehydrate', '--stream', release.streamPath, '--artifacts', release.folder];
  const cache = more.includes('--no-cache') ? [] : ['--cache-dir', `${bundle}-cache`];
  return cli([...argv, '-o', bundle, ...cache, ...more], {
    createEngine: () => release.engine,
  });
}

async function setUp(root: string, options?: Parameters<typeof writeSyntheticRelease>[1]) {
  const release = await writeSyntheticRelease(join(root, 'release'), options);
  return { release, bundle: join(root, 'bundle') };
}

test('a release becomes a bundle that reproduces every file', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  const { code, stdout, stderr } = await run(release, bundle);
  expect(code, stderr).toBe(0);
  const table = stdout.toString();
  expect(table).toMatch(/^metal\/raw +raw .* none +0 % +metal +stream's uncompressed-sha256$/m);
  expect(table).toMatch(/^gcp .* own sha256, after the stream's sha256/m);
  expect(table).toMatch(/^nutanix .* stream's sha256$/m);
  expect(table).toContain('written and verified');

  const out = join(root.path, 'out');
  const argv = ['-p', 'all', '-b', bundle, '-o', out, '--cache-dir', `${bundle}-cache`];
  const rehydrated = await cli(argv); // no engine: what dehydrate regenerated is in the cache
  expect(rehydrated.code, rehydrated.stderr).toBe(0);
  await execa('sha256sum', ['--check', '--strict'], { input: rehydrated.stdout });
  const read = (name: string) => readFile(join(release.folder, name));
  const same = async (name: string, bytes: Buffer) =>
    expect((await readFile(join(out, name))).equals(bytes), name).toBe(true);
  await same('x-qemu.raw', gunzipSync(await read('x-qemu.raw.gz')));
  await same('x-gcp.tar', gunzipSync(await read('x-gcp.tar.gz')));
  await same('x-live-kernel', await read('x-live-kernel'));
  await same('x-live.iso', await read('x-live.iso'));
  await execa('xz', ['-dk', join(release.folder, 'x-metal.raw.xz')]);
  await same('x-metal.raw', await read('x-metal.raw'));
});

test('twice from the same inputs gives the same bytes', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  for (const name of [bundle, `${bundle}2`]) expect((await run(release, name)).code).toBe(0);
  await execa('diff', ['-r', bundle, `${bundle}2`]);
});

test('a second run of the same ISO boots nothing, but only on proved disks', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  let boots = 0;
  const { engine: real } = release;
  const engine: typeof real = {
    ...real,
    regenerate: (request) => {
      boots++;
      return real.regenerate(request);
    },
  };
  const again = (...more: string[]) => run({ ...release, engine }, bundle, '--force', ...more);

  expect((await again()).code).toBe(0);
  expect(boots).toBe(1);
  const second = await again();
  expect(second.code).toBe(0);
  expect(second.stdout.toString()).toContain('an earlier run of this ISO, its disks read again');
  expect(boots).toBe(1);

  expect((await again('--no-cache')).code).toBe(0);
  expect(boots).toBe(2);

  // A disk that rotted: same size, same time stamp, another byte.
  const disks = join(`${bundle}-cache`, 'metal');
  const [name = ''] = await readdir(disks);
  await execa('sh', [
    '-c',
    'cp -p "$1" "$1.old"; chmod u+w "$1"; printf x | dd of="$1" bs=1 seek=5000 conv=notrunc status=none; touch -r "$1.old" "$1"; rm "$1.old"',
    'sh',
    join(disks, name),
  ]);
  expect((await again()).code).toBe(0);
  expect(boots).toBe(3);

  const runs = join(`${bundle}-cache`, 'runs');
  const [record = ''] = await readdir(runs);
  await writeFile(join(runs, record), '{"engine":"magic"}');
  expect((await again()).code).toBe(0);
  expect(boots).toBe(4);
});

test('an external ISO is named, not held', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  expect((await run(release, bundle, '--iso-external')).code).toBe(0);
  const recipes = (await openBundle(bundle)).recipes[0];
  expect(recipes?.iso).toMatchObject({
    embedded: false,
    location: 'https://example.com/x86_64/x-live.iso',
  });
  expect(await readdir(join(bundle, 'blobs', 'sha256'))).not.toContain(recipes?.iso.sha256);
});

test('files that are missing are all named before anything is booted', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  await rm(join(release.folder, 'x-qemu.raw.gz'));
  await rm(join(release.folder, 'x-gcp.tar.gz'));
  const boots: string[] = [];
  const engine = {
    ...release.engine,
    regenerate: () => Promise.reject(new Error(`boot ${boots.push('x')}`)),
  };
  const { code, stderr } = await run({ ...release, engine }, bundle);
  expect(code).toBe(5);
  expect(stderr).toContain('gcp: its file x-gcp.tar.gz is not among the artifacts');
  expect(stderr).toContain('qemu: its file x-qemu.raw.gz is not among the artifacts');
  expect(boots).toEqual([]);
  expect((await readdir(root.path)).sort()).toEqual(['release']);

  const allowed = await run(release, bundle, '--allow-missing', 'qemu,gcp/tar.gz');
  expect(allowed.code, allowed.stderr).toBe(0);
  expect(allowed.stdout.toString()).toContain('missing qemu: its file x-qemu.raw.gz');
  expect(allowed.stdout.toString()).not.toContain(root.path.concat('/release'));
  const asked = await cli(['-p', 'qemu', '-b', bundle]);
  expect(asked).toMatchObject({
    code: 5,
    stderr: expect.stringContaining('not among the artifacts'),
  });
});

test('--allow-missing with a name that means nothing is a usage error', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  expect(await run(release, bundle, '--allow-missing', 'quemu')).toMatchObject({ code: 2 });
});

test('metal is not needed as a file, and is never taken from one', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  await rm(join(release.folder, 'x-metal.raw.xz'));
  const { code, stdout } = await run(release, bundle);
  expect(code).toBe(0);
  expect(stdout.toString()).toMatch(/^metal\/raw +raw +\S+ \S+ +- +no +none/m);
});

test('an engine whose disk does not match the osmet is caught', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path, {
    regenerates: (disk) => Buffer.concat([Buffer.from('X'), disk.subarray(1)]),
  });
  const { code, stderr } = await run(release, bundle);
  expect(code).toBe(4);
  expect(stderr).toContain('BASE_DIGEST');
  expect((await readdir(root.path)).sort()).toEqual(['bundle-cache', 'release']);
  expect(await readdir(`${bundle}-cache`)).toEqual(['metal']);
  expect(await readdir(`${bundle}-cache/metal`)).toEqual([]);
});

test('a metal image of a different build from the ISO’s is named', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  await release.edit(({ metal }) => {
    const disk = metal?.formats['raw.xz']?.disk;
    if (disk) disk['uncompressed-sha256'] = sha256Of(Buffer.from('other'));
  });
  const { code, stderr } = await run(release, bundle);
  expect(code).toBe(4);
  expect(stderr).toContain('metal/raw: the ISO regenerates a different disk from the released one');
});

test('a platform of a different release from the ISO’s is named', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  await release.edit(({ qemu }) => {
    if (qemu) qemu.release = '42.2';
  });
  const { code, stderr } = await run(release, bundle);
  expect(code).toBe(5);
  expect(stderr).toContain('qemu: it is of release 42.2, the ISO of 42.1');
});

test('a damaged, swapped or truncated released file is named', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  const file = join(release.folder, 'x-qemu.raw.gz');
  const good = await readFile(file);
  const cases: [Buffer, string, number][] = [
    [good.subarray(0, good.length >> 1), 'cannot be decompressed', 3],
    [Buffer.concat([good, Buffer.alloc(8)]), 'qemu:', 4],
    [await readFile(join(release.folder, 'x-gcp.tar.gz')), 'SHA-256 of the stream', 4],
  ];
  for (const [bytes, text, code] of cases) {
    await writeFile(file, bytes);
    const result = await run(release, bundle);
    expect(result.stderr).toContain(text);
    expect(result.code, result.stderr).toBe(code);
    expect((await readdir(root.path)).sort()).toEqual(['bundle-cache', 'release']);
  }
});

test('an unreadable file does not hide other errors', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  const [gcp, qemu] = ['x-gcp.tar.gz', 'x-qemu.raw.gz'].map((name) => join(release.folder, name));
  await rm(gcp ?? '');
  await symlink('/proc/self/mem', gcp ?? ''); // reading it gives EIO
  const unreadable = await run(release, bundle);
  expect(unreadable.stderr).toContain(`gcp: cannot read ${gcp}`);
  expect(unreadable.code, unreadable.stderr).toBe(7);
  await writeFile(qemu ?? '', (await readFile(qemu ?? '')).subarray(0, 999));
  const both = await run(release, bundle);
  expect(both.stderr).toMatch(/2 artifacts cannot be covered: gcp: .*; qemu: /);
  expect(both.code).toBe(5);
  expect((await readdir(root.path)).sort()).toEqual(['bundle-cache', 'release']);
});

test('an unpacked file serves where the stream attests it', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  await execa('gunzip', [join(release.folder, 'x-qemu.raw.gz')]);
  expect(await run(release, bundle)).toMatchObject({ code: 0 });
});

test('an ISO that is not the stream’s is refused before it is booted', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  const iso = join(release.folder, 'x-live.iso');
  const bytes = await readFile(iso);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  await writeFile(iso, bytes);
  expect(await run(release, bundle)).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('x-live.iso does not have the SHA-256 of the stream'),
  });
  await rename(iso, `${iso}.away`);
  expect(await run(release, bundle)).toMatchObject({ code: 5 });
});

test('an existing bundle stays unless --force is given', async () => {
  await using root = await temporaryFolder();
  const { release, bundle } = await setUp(root.path);
  expect((await run(release, bundle)).code).toBe(0);
  expect(await run(release, bundle)).toMatchObject({ code: 2 });
  expect((await run(release, bundle, '--force', '--iso-external')).code).toBe(0);
  expect((await openBundle(bundle)).recipes[0]?.iso.embedded).toBe(false);
});
