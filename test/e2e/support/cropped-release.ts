import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { archive } from '../../../scripts/fixture/archive.ts';
import { writeBfb } from '../../../scripts/fixture/bfb.ts';
import { ociArchive } from '../../../scripts/fixture/oci-archive.ts';
import {
  BLUEFIELD_KARGS,
  type Compression,
  compressionOf,
  PLATFORMS,
  type PlatformSpec,
  QCOW2,
} from '../../../scripts/fixture/platforms.ts';
import { MIB } from '../../../scripts/fixture/release.ts';
import { type ReleaseArtifact, releasedName } from '../../../scripts/fixture/stream.ts';
import type { Arch } from '../../../src/core/arch.ts';
import { openSource } from '../../../src/core/io/source.ts';
import { output } from './cli.ts';
import { pick } from './fixture.ts';
import { sha256sum } from './judge.ts';

/** Bytes of a real disk: enough for every kind of container, and few enough to make all of them everywhere. */
const KEPT = 6 * MIB;
const HOLE = 4 * MIB;
const PIECE = 64 << 10;
const ID = 'ignition.platform.id=';

type Kind = Pick<PlatformSpec, 'platform' | 'format' | 'compressedHashOnly'> & {
  readonly container: PlatformSpec['container'] | 'opaque';
};

/**
 * Every container of the fixture's platforms once, and two unknown platforms. Without the encrypted one, which is
 * stored as it is on every architecture. With .gz instead of .xz, which is slower.
 */
export const KINDS: readonly Kind[] = [
  ...new Map(PLATFORMS.map((one) => [JSON.stringify(one.container), one])).values(),
  { platform: 'new-cloud', format: 'image.gz', container: QCOW2 } as const,
  { platform: 'strange-cloud', format: 'bin', container: 'opaque' } as const,
]
  .filter(({ container }) => container !== 'secure-execution')
  .map((kind) => ({ ...kind, format: kind.format.replace(/xz$/, 'gz') }));

export interface CroppedRelease {
  /** A folder with all of them, under their released names. */
  readonly artifacts: readonly ReleaseArtifact[];
  /** What they are made from: a disk, followed by files of the ISO. */
  readonly metal: string;
  readonly iso: string;
}

/**
 * Puts a part of an architecture's metal disk into every container of any architecture, with the programs that
 * make the fixture's, so that each container is tested with each architecture's bytes.
 *
 * @param disk the whole metal disk
 */
export async function croppedRelease(
  arch: Arch,
  disk: string,
  folder: string,
): Promise<CroppedRelease> {
  await mkdir(folder, { recursive: true });
  const metal = join(folder, 'metal');
  await crop(disk, metal);
  const live = await liveFiles(arch, folder);
  const iso = join(folder, 'iso');
  await output('sh', ['-c', 'cat "$2" "$3" "$4" >"$1"', 'sh', iso, ...Object.values(live)]);
  const artifacts: ReleaseArtifact[] = [];
  for (const kind of KINDS) {
    const image = join(folder, 'image');
    if (kind.container === 'bfb') await writeBfb(live, BLUEFIELD_KARGS, image);
    else await wrap(kind, arch, metal, image);
    artifacts.push(await release(kind, arch, image, folder));
  }
  return { artifacts, metal, iso };
}

/** The first part of the disk, a hole, and the part that names the platform. */
async function crop(disk: string, to: string): Promise<void> {
  await using source = await openSource(disk);
  await using file = await open(to, 'w');
  const piece = Buffer.alloc(PIECE);
  let written = 0;
  for (let at = 0; at < source.size; at += PIECE) {
    const data = source.nextData(at);
    if (data === undefined) break;
    at = data.start - (data.start % PIECE);
    await source.read(piece, at);
    const tells = piece.includes(`${ID}metal`);
    if (tells && written >= KEPT) written += HOLE;
    if (written >= KEPT && !tells) continue;
    await file.write(piece, 0, PIECE, written);
    written += PIECE;
    if (written > KEPT && tells) return;
  }
  throw new Error(`${disk} does not tell its platform`);
}

async function liveFiles(arch: Arch, folder: string) {
  const released = (file: string) => pick('metal', 'pxe', file, arch).released;
  const rootfs = join(folder, 'rootfs');
  await output('sh', ['-c', 'head -c 1000000 "$1" >"$2"', 'sh', released('rootfs'), rootfs]);
  return { kernel: released('kernel'), initrd: released('initramfs'), rootfs };
}

/** Writes the platform's name to a copy of the disk, and puts that into its container. */
async function wrap(
  { platform, container }: Kind,
  arch: Arch,
  metal: string,
  image: string,
): Promise<void> {
  const { signal } = new AbortController();
  const folder = `${image}-work`;
  await mkdir(folder);
  const raw = join(folder, 'disk.raw');
  const bytes = await readFile(metal);
  bytes.write(`${ID}${platform} `, bytes.lastIndexOf(`${ID}metal`));
  await writeFile(raw, bytes);
  const convert = (options: readonly string[], to: string) =>
    output('qemu-img', ['convert', '-f', 'raw', ...options, raw, to]);
  switch (container) {
    case 'opaque':
      await writeFile(image, Buffer.concat([Buffer.from('what is this? '), bytes]));
      break;
    case 'bfb':
    case 'secure-execution':
      throw new TypeError(`${container} is not wrapped here`);
    case 'oci-archive': {
      const disk = { path: join(folder, 'disk.qcow2'), name: `${platform}.qcow2` };
      await convert(QCOW2, disk.path);
      await ociArchive(arch, disk, image, signal);
      break;
    }
    case 'gcp':
    case 'powervs':
    case 'vmware':
    case 'virtualbox':
      await archive(container, arch, { path: raw, size: bytes.length }, image, signal);
      break;
    default:
      await convert(container, image);
  }
  await rm(folder, { recursive: true });
}

const COMPRESS: Partial<Record<Compression, string>> = {
  gz: 'gzip -1 -n -c "$1" >"$2"',
  zip: 'zip -1 -q -X -j "$2" "$1"',
};

async function release(
  { platform, format, compressedHashOnly }: Kind,
  arch: Arch,
  image: string,
  folder: string,
): Promise<ReleaseArtifact> {
  const id = { platform, format, role: 'disk' } as const;
  const file = join(folder, releasedName(arch, id));
  const compress = COMPRESS[compressionOf(format)];
  if (compress === undefined) {
    await rename(image, file);
    return { ...id, file, sha256: await sha256sum(file) };
  }
  // A zip contains the name of its file.
  const whole = file.replace(/\.[^.]+$/, '');
  await rename(image, whole);
  await output('sh', ['-euc', compress, 'sh', whole, file]);
  const uncompressedSha256 = await sha256sum(whole);
  await rm(whole);
  const sha256 = await sha256sum(file);
  return { ...id, file, sha256, ...(compressedHashOnly ? {} : { uncompressedSha256 }) };
}
