import {
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { type RegistryServer, registryServer } from '../../../test/support/registry-server.ts';
import {
  type SyntheticBundle,
  sha256Of,
  temporaryFolder,
  writeSyntheticBundle,
} from '../../../test/support/synthetic-bundle.ts';
import { openBundle } from '../../bundle/read.ts';
import { parseReference, referenceText } from '../../registry/reference.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let bundle: SyntheticBundle;
let server: RegistryServer;
beforeAll(async () => {
  folder = await temporaryFolder();
  bundle = await writeSyntheticBundle(folder.path, { arches: ['x86_64', 's390x'] });
  server = await registryServer(join(folder.path, 'registry'));
}, 300_000);
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const blobsIn = async (path: string) =>
  (await readdir(join(path, 'blobs/sha256'))).filter((name) => !name.endsWith('.part')).sort();

test('a pushed bundle is pulled byte for byte, and skopeo sees the same', async () => {
  const reference = `${server.host}/coreos/bundle:42.1`;
  const first = await cli(['push', '-b', bundle.path, reference]);
  expect(first.code, first.stderr).toBe(0);
  const { digest } = await openBundle(bundle.path);
  expect(first.stdout.toString()).toBe(`${server.host}/coreos/bundle@sha256:${digest}\n`);
  expect(first.stderr).toContain('pushed 7 blobs');
  const again = await cli(['push', '-b', bundle.path, reference, '--json']);
  expect(JSON.parse(again.stdout.toString())).toMatchObject({ type: 'pushed', digest, blobs: 0 });

  const copy = join(folder.path, 'copy');
  const pulled = await cli(['pull', reference, '-o', copy]);
  expect(pulled.code, pulled.stderr).toBe(0);
  await execa('diff', ['-r', join(bundle.path, 'blobs'), join(copy, 'blobs')]);
  expect((await openBundle(copy)).digest).toBe(digest);
  const by = await cli(['pull', first.stdout.toString().trim(), '-o', copy, '--json']);
  expect(JSON.parse(by.stdout.toString())).toMatchObject({ type: 'pulled', blobs: 0 });

  // skopeo sees the same index, and copies all of it into a layout that is a bundle, too. Debian 12's
  // writes the index anew on the way, without members that it does not know.
  const tls = '--tls-verify=false';
  const raw = await execa('skopeo', ['inspect', '--raw', tls, `docker://${reference}`], {
    encoding: 'buffer',
    stripFinalNewline: false,
  });
  expect(sha256Of(raw.stdout)).toBe(digest);
  const theirs = join(folder.path, 'skopeo');
  await execa('skopeo', [
    ...['copy', '--all', '--insecure-policy', '--src-tls-verify=false'],
    ...[`docker://${reference}`, `oci:${theirs}`],
  ]);
  expect((await openBundle(theirs)).recipes).toEqual((await openBundle(bundle.path)).recipes);
  expect(await blobsIn(theirs)).toEqual(
    expect.arrayContaining((await blobsIn(bundle.path)).filter((name) => name !== digest)),
  );
  // What it pushes, we pull; its index is another, and is what the pull then has.
  await execa('skopeo', [
    ...['copy', '--all', '--insecure-policy', '--dest-tls-verify=false'],
    ...[`oci:${theirs}`, `docker://${server.host}/skopeo/bundle:1`],
  ]);
  const back = join(folder.path, 'back');
  const got = await cli(['pull', `${server.host}/skopeo/bundle:1`, '-o', back]);
  expect(got.code, got.stderr).toBe(0);
  expect((await openBundle(back)).recipes).toEqual((await openBundle(bundle.path)).recipes);
});

test('a part: only the blobs that it needs, under the same index; more can be added', async () => {
  const reference = `${server.host}/coreos/part:1`;
  expect((await cli(['push', '-b', bundle.path, reference])).code).toBe(0);
  const part = join(folder.path, 'part');
  const pull = (...more: string[]) => cli(['pull', reference, '-o', part, ...more]);
  expect((await pull('--arch', 's390x', '--platform', 'qemu', '--without-iso')).code).toBe(0);
  const all = await blobsIn(bundle.path);
  const some = await blobsIn(part);
  expect(some.length).toBeLessThan(all.length);
  const qemu = bundle.recipes.artifacts.find(({ platform }) => platform === 'qemu')?.recipe;
  if (qemu?.kind !== 'delta') throw new Error('qemu has a delta');
  expect(some).toContain(qemu.delta.sha256);
  expect(some).not.toContain(bundle.recipes.iso.sha256);
  expect((await openBundle(part)).digest).toBe((await openBundle(bundle.path)).digest);
  // What was left out is told when it is asked for.
  const argv = ['-b', part, '-p', 'metal/pxe', '-o', join(folder.path, 'x/'), '--no-cache'];
  expect(await cli(argv)).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('BLOB_MISSING'),
  });
  expect((await pull()).code).toBe(0);
  expect(await blobsIn(part)).toEqual(all);
});

test('missing blobs are named, with the command that pulls them', async () => {
  const reference = `${server.host}/coreos/absent:1`;
  expect((await cli(['push', '-b', bundle.path, reference])).code).toBe(0);
  const part = join(folder.path, 'absent');
  const argv = ['pull', reference, '-o', part, '-a', 's390x', '-p', 'metal/pxe', '--without-iso'];
  expect((await cli(argv)).code).toBe(0);

  const shown = await cli(['inspect', part]);
  expect(shown.code, shown.stderr).toBe(0);
  const text = shown.stdout.toString();
  expect(text).toContain('not pulled; name it with --iso');
  expect(text).toContain('not pulled: qemu; `iso-rehydrate pull REF -p qemu -a s390x -o ');
  const json = JSON.parse((await cli(['inspect', part, '--json'])).stdout.toString());
  expect(json.bundle.architectures[1].notPulled).toMatchObject({ iso: true, artifacts: ['qemu'] });
  const whole = JSON.parse((await cli(['inspect', bundle.path, '--json'])).stdout.toString());
  expect(whole.bundle.architectures[1].notPulled).toBeUndefined();

  const make = (...more: string[]) =>
    cli(['-b', part, '-a', 's390x', '-o', join(folder.path, 'made/'), '--no-cache', ...more]);
  const missing = await make('-p', 'qemu');
  expect(missing.code).toBe(4);
  expect(missing.stderr).toContain('is missing: qemu was not pulled [BLOB_MISSING]');
  expect(missing.stderr).toContain(`iso-rehydrate pull REF -p qemu -a s390x -o ${part}`);
  const noIso = await make('-p', 'metal/pxe');
  expect(noIso.code).toBe(4);
  expect(noIso.stderr).toContain('not pulled: the ISO live.iso [BLOB_MISSING]');
  expect(noIso.stderr).toContain('name it with --iso');
  const given = await make('-p', 'metal/pxe', '--iso', join(folder.path, 'live.iso'));
  expect(given.code, given.stderr).toBe(0);

  // What cannot be given is not offered.
  const serving = async (...more: string[]) => {
    const stop = new AbortController();
    const out: string[] = [];
    const images = ['--images', join(folder.path, 'served')];
    const run = cli(['serve', '-b', part, '--listen', '127.0.0.1:0', ...images, ...more], {
      signal: stop.signal,
      onStdout: (chunk) => {
        out.push(chunk);
      },
    });
    await vi.waitFor(() => expect(out.join('')).toMatch(/serving/), { timeout: 20_000 });
    const [, files = '', url = ''] = /serving (\d+) files and (\S+)/.exec(out.join('')) ?? [];
    const stream = (await (await fetch(url)).json()) as {
      architectures: Record<string, { artifacts: Record<string, { formats: object }> }>;
    };
    stop.abort();
    const { stderr } = await run;
    const platforms = Object.entries(stream.architectures).flatMap(([arch, { artifacts }]) =>
      Object.entries(artifacts).map(([name, { formats }]) => [
        ...[arch, name, Object.keys(formats).join(',')],
      ]),
    );
    return { files: Number(files), platforms: platforms.map((one) => one.join(' ')), stderr };
  };
  const none = await serving();
  expect(none).toMatchObject({ files: 0, platforms: [] });
  expect(none.stderr).toContain('its ISO was not pulled');
  const some = await serving('--iso', join(folder.path, 'live.iso'));
  expect(some.platforms).toContain('s390x metal iso,pxe,raw.xz');
  expect(some.platforms.join()).not.toContain('qemu');
});

test('two pulls into one folder at a time', async () => {
  const reference = `${server.host}/coreos/race:1`;
  expect((await cli(['push', '-b', bundle.path, reference])).code).toBe(0);
  const target = join(folder.path, 'race');
  const runs = [1, 2, 3].map(() => cli(['pull', reference, '-o', target]));
  for (const { code, stderr } of await Promise.all(runs)) expect(code, stderr).toBe(0);
  await execa('diff', ['-r', join(bundle.path, 'blobs'), join(target, 'blobs')]);
  expect((await readdir(folder.path)).filter((name) => name.startsWith('.iso-'))).toEqual([]);
});

test('push of a part: a separate bundle of only the requested artifacts', async () => {
  const reference = (name: string) => `${server.host}/coreos/${name}:1`;
  const push = async (name: string, ...more: string[]) => {
    const { code, stdout, stderr } = await cli([
      ...['push', '-b', bundle.path, reference(name), '--json', ...more],
    ]);
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout.toString());
  };
  const whole = await openBundle(bundle.path);
  // All by name is all, under the same index.
  expect((await push('part-all', '-p', 'all', '-a', 's390x,x86_64')).digest).toBe(whole.digest);

  const { digest } = await push('part-qemu', '-p', 'qemu', '-a', 's390x');
  expect(digest).not.toBe(whole.digest);
  const target = join(folder.path, 'part-qemu');
  expect((await cli(['pull', reference('part-qemu'), '-o', target])).code).toBe(0);
  const part = await openBundle(target);
  expect(part.digest).toBe(digest);
  const [recipes, ...others] = part.recipes;
  expect(others).toEqual([]);
  const s390x = whole.recipes.find(({ architecture }) => architecture === 's390x');
  const qemu = s390x?.artifacts.filter(({ platform }) => platform === 'qemu');
  expect(recipes).toEqual({ ...s390x, artifacts: qemu, missing: [] });
  // Index, manifest, recipes, ISO, stream, one delta: a pull of all of it finds nothing missing.
  expect(await blobsIn(target)).toHaveLength(6);
  const again = await cli(['push', '-b', target, reference('part-again'), '--json']);
  expect(JSON.parse(again.stdout.toString())).toMatchObject({ digest });
  // What a registry keeps of it, oras copies.
  const theirs = join(folder.path, 'part-oras');
  const from = reference('part-qemu').replace('127.0.0.1', 'localhost');
  await execa('oras', ['copy', '--to-oci-layout', from, `${theirs}:1`]);
  expect(await openBundle(theirs)).toMatchObject({ digest, recipes: part.recipes });

  // By format, of whatever has it; the other architectures' manifests are not touched.
  await push('part-pxe', '-p', 'metal', '-f', 'pxe');
  const pxe = join(folder.path, 'part-pxe');
  expect((await cli(['pull', reference('part-pxe'), '-o', pxe])).code).toBe(0);
  const made = await cli([
    ...['-b', pxe, '-a', 'x86_64', '-p', 'all', '-o', join(folder.path, 'pxe/'), '--no-cache'],
  ]);
  expect(made.code, made.stderr).toBe(0);
  const kernel = await readFile(join(folder.path, 'pxe/live-kernel'));
  expect(kernel).toEqual(bundle.targets.get('pxe/kernel'));

  const none = ['push', '-b', bundle.path, reference('part-none'), '-p'];
  expect(await cli([...none, 'gcp'])).toMatchObject({ code: 5 });
  expect(await cli([...none, 'aws'])).toMatchObject({
    code: 5,
    stderr: expect.stringContaining('not among the artifacts'),
  });
});

test('an interrupted pull resumes; damage is repaired, another bundle is not replaced', async () => {
  const reference = `${server.host}/coreos/resume:1`;
  expect((await cli(['push', '-b', bundle.path, reference])).code).toBe(0);
  const target = join(folder.path, 'resumed');
  expect((await cli(['pull', reference, '-o', target])).code).toBe(0);
  const iso = join(target, 'blobs/sha256', bundle.recipes.iso.sha256);
  const bytes = await readFile(iso);
  await rm(iso);
  await writeFile(`${iso}.part`, bytes.subarray(0, 1000));
  const resumed = await cli(['pull', reference, '-o', target, '--json']);
  expect(JSON.parse(resumed.stdout.toString())).toMatchObject({ blobs: 1 });
  expect(await readFile(iso)).toEqual(bytes);
  await truncate(iso, 10);
  expect((await cli(['pull', reference, '-o', target])).code).toBe(0);
  expect(await readFile(iso)).toEqual(bytes);

  const other = `${server.host}/coreos/resume:s390x`;
  const one = await cli(['push', '-b', bundle.path, other, '--arch', 's390x', '--json']);
  expect(one.code, one.stderr).toBe(0);
  const refused = await cli(['pull', other, '-o', target]);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('BUNDLE_EXISTS') });
  expect((await cli(['pull', other, '-o', target, '--force'])).code).toBe(0);
  const { recipes } = await openBundle(target);
  expect(recipes.map(({ architecture }) => architecture)).toEqual(['s390x']);
});

test('a missing reference, and an image that is not a bundle', async () => {
  const target = join(folder.path, 'none');
  const absent = await cli(['pull', `${server.host}/coreos/none:1`, '-o', target]);
  expect(absent).toMatchObject({ code: 7, stderr: expect.stringContaining('404') });
  const nobody = await cli(['pull', '127.0.0.1:1/x:1', '-o', target]);
  expect(nobody).toMatchObject({ code: 7, stderr: expect.stringContaining('cannot reach') });
  const layout = join(folder.path, 'image');
  await execa('mkdir', ['-p', layout]);
  await writeFile(join(layout, 'x'), 'x');
  await execa('tar', ['-cf', join(folder.path, 'image.tar'), '-C', layout, 'x']);
  await execa('skopeo', [
    ...['copy', '--insecure-policy', '--dest-tls-verify=false'],
    ...[`tarball:${join(folder.path, 'image.tar')}`, `docker://${server.host}/other/image:1`],
  ]);
  const other = await cli(['pull', `${server.host}/other/image:1`, '-o', target]);
  expect(other).toMatchObject({ code: 3, stderr: expect.stringContaining('not a bundle') });
});

test('references', async () => {
  expect(parseReference('docker://localhost:5000/a/b-c:v1')).toEqual({
    host: 'localhost:5000',
    name: 'a/b-c',
    tag: 'v1',
    digest: undefined,
  });
  expect(parseReference('r.example.com/a').tag).toBe('latest');
  const digest = `r.example.com/a@sha256:${'a'.repeat(64)}`;
  expect(referenceText(parseReference(digest))).toBe(digest);
  for (const bad of ['a', 'a/b', 'r.io/A', 'r.io/../x', 'r.io/a:', 'r.io/a@sha256:1', 'r.io//a']) {
    expect(() => parseReference(bad), bad).toThrow(expect.objectContaining({ code: 'REFERENCE' }));
  }
});

/** Everything below a folder, links as what they point to. */
async function snapshot(path: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    const name = join(entry.parentPath, entry.name);
    if (entry.isFile()) found[name] = sha256Of(await readFile(name));
    else if (entry.isSymbolicLink()) found[name] = await readlink(name);
  }
  return found;
}

describe('existing targets', () => {
  let whole: string;
  let other: string;
  let broken: string;
  beforeAll(async () => {
    [whole, other, broken] = ['whole', 's390x', 'broken'].map(
      (tag) => `${server.host}/coreos/targets:${tag}`,
    ) as [string, string, string];
    expect((await cli(['push', '-b', bundle.path, whole])).code).toBe(0);
    const argv = ['push', '-b', bundle.path, '--arch', 's390x'];
    expect((await cli([...argv, other])).code).toBe(0);
    const lone = `${server.host}/coreos/lone:1`;
    expect((await cli([...argv, '-p', 'qemu', lone])).code).toBe(0);
    // A registry that has lost a blob.
    const recipe = bundle.recipes.artifacts.find(({ platform }) => platform === 'qemu')?.recipe;
    if (recipe?.kind !== 'delta') throw new Error('qemu has a delta');
    const { sha256 } = recipe.delta;
    const links = `data/docker/registry/v2/repositories/coreos/lone/_layers/sha256/${sha256}`;
    await rm(join(folder.path, 'registry', links), { recursive: true });
    broken = lone;
  });

  test('a good bundle stays until the new one is complete', async () => {
    const target = join(folder.path, 'stays');
    expect((await cli(['pull', whole, '-o', target, '-p', 'metal'])).code).toBe(0);
    const before = await snapshot(folder.path);
    const failed = await cli(['pull', broken, '-o', target, '--force']);
    expect(failed.code, failed.stderr).toBe(7);
    expect(await snapshot(folder.path)).toEqual(before);
    expect((await cli(['pull', whole, '-o', target])).code).toBe(0);
    const replaced = await cli(['pull', other, '-o', target, '--force', '--json']);
    expect(replaced.code, replaced.stderr).toBe(0);
    // What both have is taken over.
    expect(JSON.parse(replaced.stdout.toString())).toMatchObject({ blobs: 0 });
    expect((await openBundle(target)).recipes.map((one) => one.architecture)).toEqual(['s390x']);
    expect(Object.keys(await snapshot(target))).not.toContainEqual(expect.stringContaining('old'));
    expect(await readdir(folder.path)).not.toContainEqual(expect.stringMatching(/^\.iso-/));
  });

  test('files that are not part of a bundle are never removed', async () => {
    const target = join(folder.path, 'mixed');
    expect((await cli(['pull', whole, '-o', target])).code).toBe(0);
    for (const place of ['notes.txt', 'blobs/notes.txt', 'blobs/sha256/notes.txt']) {
      await writeFile(join(target, place), 'mine');
      const before = await snapshot(target);
      for (const argv of [
        ['pull', other, '-o', target, '--force'],
        ['pull', whole, '-o', target],
        ['pull', whole, '-o', target, '--force'],
      ]) {
        const { code, stderr } = await cli(argv);
        expect(code, stderr).toBe(2);
        expect(stderr).toContain(place);
        expect(await snapshot(target)).toEqual(before);
      }
      await rm(join(target, place));
    }
    const precious = join(folder.path, 'precious');
    await mkdir(precious);
    await writeFile(join(precious, 'thesis.txt'), 'x');
    for (const force of [[], ['--force']]) {
      for (const path of [precious, join(precious, 'thesis.txt')]) {
        const refused = await cli(['pull', whole, '-o', path, ...force]);
        expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('not a bundle') });
      }
    }
    expect(await readdir(precious)).toEqual(['thesis.txt']);
  });

  test.each([
    ['a blob', (path: string) => join(path, 'blobs/sha256', bundle.recipes.iso.sha256)],
    ['its part', (path: string) => join(path, 'blobs/sha256', `${bundle.recipes.iso.sha256}.part`)],
    ['the folder of blobs', (path: string) => join(path, 'blobs/sha256')],
    ['the folder of folders', (path: string) => join(path, 'blobs')],
  ])('links out of a carried bundle: %s', async (name, at) => {
    const target = join(folder.path, `linked-${name.replaceAll(' ', '-')}`);
    expect((await cli(['pull', whole, '-o', target])).code).toBe(0);
    await rm(join(target, 'blobs/sha256', bundle.recipes.iso.sha256));
    const isFolder = name.includes('folder');
    const victim = join(folder.path, `victim-${name.replaceAll(' ', '-')}`);
    if (isFolder) await rename(at(target), victim);
    else await writeFile(victim, 'precious');
    await symlink(victim, at(target));
    const before = isFolder ? await readdir(victim, { recursive: true }) : await readFile(victim);
    await cli(['pull', whole, '-o', target]);
    const after = isFolder ? await readdir(victim, { recursive: true }) : await readFile(victim);
    expect(after).toEqual(before);
  });

  test('a link to a folder stays a link', async () => {
    const real = join(folder.path, 'real');
    const target = join(folder.path, 'link');
    expect((await cli(['pull', whole, '-o', real])).code).toBe(0);
    await symlink(real, target);
    const { code, stderr } = await cli(['pull', other, '-o', target, '--force']);
    expect(code, stderr).toBe(0);
    expect(await readlink(target)).toBe(real);
    expect((await openBundle(real)).recipes).toHaveLength(1);
  });

  test('a pull of something else leaves nothing behind', async () => {
    const target = join(folder.path, 'nothing');
    const { code } = await cli(['pull', `${server.host}/other/image:1`, '-o', target]);
    expect(code).toBe(3);
    expect(await readdir(folder.path)).not.toContain('nothing');
  });
});
