import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { type Arch, OCI_ARCHITECTURE } from '../../src/core/arch.ts';
import { openLiveIso } from '../../src/formats/iso/open.ts';
import { shell } from './measure.ts';

/** As many as a CoreOS image has, about. */
const LAYERS = 50;

/** Packs lists of files into layers by tar and gzip, several at a time. */
const PACK = `
cd "$1"
find . -type f | sort | split -n "r/$3" -d -a 3 - "$2/list-"
find "$2" -name 'list-*' | xargs -P "$(nproc)" -I{} sh -euc 'tar -cf - --no-recursion -T "$1" | gzip -6 -n >"$1.gz"' sh {}
`;

/**
 * Writes an OCI layout with the operating system of an ISO, in plain gzip layers of unrelated files. Needs
 * squashfs-tools or erofs-utils, by the ISO's root image. Returns its path.
 */
export async function containerOf(iso: string, arch: Arch, work: string): Promise<string> {
  const layout = join(work, 'container');
  const blobs = join(layout, 'blobs/sha256');
  const root = join(work, 'root');
  await mkdir(blobs, { recursive: true });
  const { rootImage } = await openLiveIso(iso);
  const image = join(work, 'root.img');
  const cut = 'tail -c +"$1" "$2" | head -c "$3" >"$4"';
  const { offset, length } = rootImage;
  await run(cut, String(offset + 1), iso, String(length), image);
  if (rootImage.path.endsWith('.erofs')) await execa('fsck.erofs', [`--extract=${root}`, image]);
  else await execa('unsquashfs', ['-q', '-n', '-d', root, image, 'ostree/deploy']);
  await rm(image);
  await run(PACK, await deploymentIn(join(root, 'ostree/deploy')), blobs, String(LAYERS));
  await rm(root, { recursive: true });

  const layers = [];
  for (const name of (await readdir(blobs)).sort()) {
    const path = join(blobs, name);
    if (!name.endsWith('.gz')) await rm(path);
    else
      layers.push({ mediaType: `${OCI}.image.layer.v1.tar+gzip`, ...(await named(path, blobs)) });
  }
  const config = { architecture: OCI_ARCHITECTURE[arch], os: 'linux', rootfs: { type: 'layers' } };
  const manifest = {
    ...{ schemaVersion: 2, mediaType: `${OCI}.image.manifest.v1+json` },
    config: { mediaType: `${OCI}.image.config.v1+json`, ...(await blob(config, blobs)) },
    layers,
  };
  const entry = { mediaType: manifest.mediaType, ...(await blob(manifest, blobs)) };
  await writeFile(join(layout, 'index.json'), text({ schemaVersion: 2, manifests: [entry] }));
  await writeFile(join(layout, 'oci-layout'), text({ imageLayoutVersion: '1.0.0' }));
  return layout;
}

const OCI = 'application/vnd.oci';
const text = (value: unknown) => JSON.stringify(value);

async function run(script: string, ...args: string[]): Promise<void> {
  const [file = '', ...rest] = shell(script, ...args);
  await execa(file, rest);
}

/** `OS/deploy/COMMIT.0` below a folder. */
async function deploymentIn(folder: string): Promise<string> {
  const { stdout } = await execa('find', [
    ...[folder, '-mindepth', '3', '-maxdepth', '3', '-path', '*/deploy/*.0', '-type', 'd'],
  ]);
  const [found = ''] = stdout.split('\n');
  if (found === '') throw new Error(`${folder} has no deployment`);
  return found;
}

async function blob(value: unknown, blobs: string) {
  const path = join(blobs, 'new');
  await writeFile(path, text(value));
  return named(path, blobs);
}

/** Gives a file the name of its digest. */
async function named(path: string, blobs: string) {
  const sha256 = createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
  const { size } = await stat(path);
  await rename(path, join(blobs, sha256));
  return { digest: `sha256:${sha256}`, size };
}
