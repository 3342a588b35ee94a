import { constants, copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { execa } from 'execa';
import { type Arch, OCI_ARCHITECTURE } from '../../../src/core/arch.ts';
import { openLiveIso } from '../../../src/formats/iso/open.ts';
import { pick } from './fixture.ts';
import { cutRootImage } from './os-release.ts';

/** The system in the root image of the fixture's ISO. */
export interface System {
  readonly arch: Arch;
  /** Its OSTree repository. */
  readonly repo: string;
  readonly commit: string;
  /** The files of its deployment. */
  readonly tree: string;
}

/** Unpacks the root image, by the programs of squashfs-tools and erofs-utils, and removes all but its system. */
export async function unpackSystem(arch: Arch, folder: string): Promise<System> {
  await mkdir(folder, { recursive: true });
  const iso = await openLiveIso(pick('metal', 'iso', 'disk', arch).released);
  const image = join(folder, 'root.img');
  const root = join(folder, 'root');
  await cutRootImage(iso, image);
  if (iso.rootImage.path.endsWith('.erofs'))
    await execa('fsck.erofs', [`--extract=${root}`, image]);
  else await execa('unsquashfs', ['-q', '-n', '-d', root, image, 'ostree']);
  await rm(image);
  const deployments = join(root, 'ostree/deploy/fedora-coreos/deploy');
  const name = (await readdir(deployments)).find((one) => one.endsWith('.0'));
  if (name === undefined) throw new Error('the root image has no deployment');
  return {
    arch,
    repo: join(root, 'ostree/repo'),
    commit: name.slice(0, -2),
    tree: join(deployments, name),
  };
}

/** Chunks of the image: real ones hold a package each. */
const CHUNKS = 16;

/** An OCI layout with the commit as ostree-ext writes it: format version 1, in chunks. */
export async function encapsulate({ repo, commit }: System, layout: string): Promise<void> {
  const { stdout } = await execa('ostree', [`--repo=${repo}`, 'ls', '-R', '-C', commit]);
  const chunkOf = (object: string) => `chunk${Number.parseInt(object.slice(0, 2), 16) % CHUNKS}`;
  const objects = stdout
    .split('\n')
    .flatMap((line) => /^-.* ([0-9a-f]{64}) /.exec(line)?.[1] ?? []);
  const links = stdout.split('\n').flatMap((line) => /^l.* ([0-9a-f]{64}) /.exec(line)?.[1] ?? []);
  const mapping = Object.fromEntries([...objects, ...links].map((one) => [one, chunkOf(one)]));
  const layers = Object.fromEntries(
    Array.from({ length: CHUNKS }, (_, i) => [`chunk${i}`, `part ${i}`]),
  );
  const meta = `${layout}.json`;
  await writeFile(meta, JSON.stringify({ version: 1, layers, mapping }));
  await execa(resolve('.tools/bin/ostree-ext'), [
    ...['container', 'encapsulate', `--repo=${repo}`, '--compression-fast'],
    ...[`--contentmeta=${meta}`, commit, `oci:${layout}`],
  ]);
}

/** Below its deployment. */
interface Deleted {
  /** Contents of deleted files, by path. */
  readonly deleted: readonly string[];
}

/**
 * An OCI layout with the same files as plain layers, written by buildah: with other owners and an attribute, and two
 * more layers that delete folders and files, one of them to make it anew.
 */
export async function plainImage(
  { tree, arch }: System,
  folder: string,
  layers: number,
): Promise<Deleted & { layout: string }> {
  const context = join(folder, 'context');
  const found = (await execa('find', [tree, '-type', 'f', '-size', '+0', '-printf', '%P\n']))
    .stdout;
  const files = found.split('\n').sort();
  for (const [index, path] of files.entries()) {
    const copy = join(context, `l${index % layers}`, path);
    await mkdir(dirname(copy), { recursive: true });
    await copyFile(join(tree, path), copy, constants.COPYFILE_FICLONE);
  }
  const relabel = `import os, sys
for at, _, names in os.walk(sys.argv[1]):
    for name in names:
        os.setxattr(os.path.join(at, name), "user.label", b"system_u:object_r:other_t:s0")`;
  await execa('python3', ['-c', relabel, context]);
  const copies = Array.from(
    { length: layers },
    (_, i) => `COPY --chown=${i * 1000}:${i * 1000} l${i} /\n`,
  );
  await writeFile(join(context, 'Containerfile'), `FROM scratch\n${copies.join('')}`);

  const buildah = await buildahIn(folder);
  const platform = ['--arch', OCI_ARCHITECTURE[arch]];
  await buildah('build', ...platform, '--quiet', '--layers', '--tag', 'whole', context);
  await rm(context, { recursive: true });
  const container = await buildah('from', ...platform, 'whole');
  const root = await buildah('mount', container);
  const deleted = files.filter((path) => GONE.test(path));
  await rm(join(root, 'usr/share/perl5'), { recursive: true });
  await rm(join(root, 'usr/share/bash-completion'), { recursive: true });
  await rm(join(root, 'usr/lib/os-release'));
  await mkdir(join(root, 'usr/share/bash-completion'));
  await writeFile(join(root, 'usr/share/bash-completion/README'), 'nothing of what was here\n');
  await buildah('commit', '--quiet', container, 'without');
  const layout = join(folder, 'oci');
  await buildah('push', '--quiet', 'without', `oci:${layout}:os`);
  await buildah('rm', '--all');
  await buildah('rmi', '--all', '--force');
  return { layout, deleted };
}

const GONE = /^usr\/(share\/(perl5|bash-completion)\/|lib\/os-release$)/;

async function buildahIn(folder: string) {
  const storage = [`--root=${join(folder, 'storage')}`, `--runroot=${join(folder, 'run')}`];
  const env = { BUILDAH_ISOLATION: 'chroot', TMPDIR: folder };
  const run = async (driver: string, ...args: string[]) => {
    const all = [...storage, `--storage-driver=${driver}`, ...args];
    return (await execa('buildah', all, { env })).stdout.trim();
  };
  // overlay takes a tenth of the time, but not every file system can carry it.
  const driver = await run('overlay', 'info').then(
    () => 'overlay',
    () => 'vfs',
  );
  return (...args: string[]) => run(driver, ...args);
}

/** Copies an image, by skopeo; `127.0.0.1` has no TLS. */
export function copyImage(from: string, to: string, ...options: string[]) {
  return execa('skopeo', [
    ...['copy', '--quiet', '--insecure-policy', '--dest-tls-verify=false', ...options],
    ...[from, to],
  ]);
}

/** The manifest of an image in a layout with that image alone. */
export async function manifestIn(layout: string): Promise<{ layers: { mediaType: string }[] }> {
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8'));
  const [, digest] = index.manifests[0].digest.split(':');
  return JSON.parse(await readFile(join(layout, 'blobs/sha256', digest), 'utf8'));
}
