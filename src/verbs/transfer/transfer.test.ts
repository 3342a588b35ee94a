import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
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

test('what is pushed is pulled again, byte for byte, and is what skopeo sees', async () => {
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

test('push of a part: a bundle of its own, of what was asked for and nothing else', async () => {
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

test('a pull that broke off goes on; damage is mended, another bundle is not replaced', async () => {
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

test('what the registry does not have, or what is no bundle', async () => {
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
