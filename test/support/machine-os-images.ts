import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { hashFile } from '../../src/core/io/hash-file.ts';

export interface MachineOsImage {
  /** Go's spelling: `amd64`. */
  readonly architecture: string;
  /** Paths in the image, each with the file to put there. */
  readonly files: Readonly<Record<string, string>>;
  readonly compression: 'gzip' | 'zstd' | 'none';
}

/**
 * An image like OpenShift's `machine-os-images`, in a registry: a base layer, and a layer with `/coreos/…`. Made with
 * tar, gzip and zstd, and pushed with skopeo.
 */
export async function pushImages(
  work: string,
  reference: string,
  images: readonly MachineOsImage[],
): Promise<void> {
  const layout = join(work, 'machine-os-images');
  await rm(layout, { recursive: true, force: true });
  await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
  const add = async (path: string) => {
    const { sha256, size } = await hashFile(path);
    await execa('mv', [path, join(layout, 'blobs/sha256', sha256)]);
    return { digest: `sha256:${sha256}`, size };
  };
  const addJson = async (value: unknown) => {
    const path = join(layout, 'document');
    await writeFile(path, JSON.stringify(value));
    return add(path);
  };
  const manifests: unknown[] = [];
  for (const { architecture, files, compression } of images) {
    const base = join(work, 'layer-base');
    const top = join(work, 'layer-top');
    await mkdir(join(base, 'etc'), { recursive: true });
    await writeFile(join(base, 'etc/os-release'), `NAME="${architecture}"\n`);
    for (const [path, from] of Object.entries(files)) {
      await mkdir(join(top, path, '..'), { recursive: true });
      await execa('cp', ['--reflink=auto', from, join(top, path)]);
    }
    const layers: unknown[] = [];
    const diffs: string[] = [];
    for (const tree of [base, top]) {
      const tar = `${tree}.tar`;
      await execa('tar', ['-C', tree, '-cf', tar, '.']);
      diffs.push(`sha256:${(await hashFile(tar)).sha256}`);
      const mediaType = `application/vnd.oci.image.layer.v1.tar${compression === 'none' ? '' : `+${compression}`}`;
      if (compression === 'gzip') await execa('gzip', ['-1', tar]);
      if (compression === 'zstd') await execa('zstd', ['-q', '--rm', tar, '-o', `${tar}.zst`]);
      const packed = { gzip: `${tar}.gz`, zstd: `${tar}.zst`, none: tar }[compression];
      layers.push({ mediaType, ...(await add(packed)) });
      await rm(tree, { recursive: true });
    }
    const config = await addJson({
      ...{ architecture, os: 'linux', config: {} },
      rootfs: { type: 'layers', diff_ids: diffs },
    });
    const manifest = await addJson({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers,
    });
    manifests.push({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      ...manifest,
      platform: { architecture, os: 'linux' },
    });
  }
  await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  let top = manifests;
  if (images.length > 1) {
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    top = [{ mediaType, ...(await addJson({ schemaVersion: 2, mediaType, manifests })) }];
  }
  await writeFile(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: top }));
  await execa('skopeo', [
    ...['copy', '--all', '--insecure-policy', '--dest-tls-verify=false'],
    ...[`oci:${layout}`, `docker://${reference}`],
  ]);
}

/** Writes the checksum file that lies beside an ISO in that image, as `sha256sum` prints it. */
export async function writeDigestOf(iso: string, path: string): Promise<void> {
  await stat(iso);
  await writeFile(path, `${(await hashFile(iso)).sha256}  ${iso.split('/').at(-1)}\n`);
  await readFile(path);
}
