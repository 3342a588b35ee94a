import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { MetalVariant } from '../../images/platforms.ts';
import type { Sha256 } from '../../src/core/io/digest.ts';
import { memorySource } from '../../src/core/io/memory-source.ts';
import type { LiveIso, OsmetEntry } from '../../src/formats/iso/live-iso.ts';
import { encodeOsmet, readOsmet } from '../../src/formats/iso/osmet.ts';
import type { OsmetMappings } from '../../src/formats/iso/osmet-types.ts';
import { golden } from '../golden/load.ts';
import { listedFiles, openImage, readRootFile } from './root-files.ts';

/** The parts of an ISO that the native engine reads, built around a golden root image. */
export interface NativeIso {
  readonly iso: LiveIso;
  /** The expected disks. */
  readonly disks: ReadonlyMap<MetalVariant, Buffer>;
}

export interface NativeIsoOptions {
  /** A golden root image; `squashfs-objects` by default. */
  readonly image?: string;
  /** Changes the parts before they are assembled. */
  readonly edit?: (parts: { image: Buffer; osmet: Buffer; xz: Buffer }) => {
    image?: Buffer;
    osmet?: Buffer;
    xz?: Buffer;
  };
  /** Leaves out most of the zeros between the parts of the disks. */
  readonly compact?: boolean;
  /** Changes the contents of the osmet. */
  readonly checksum?: string;
  /** Changes the name of the object of the first mapping. */
  readonly object?: string;
}

/** Bytes in front of the partition, and of its first contents, and behind it. */
interface Shape {
  readonly size: number;
  readonly start: number;
  readonly behind: number;
}
const WIDE: Shape = { size: 12 << 20, start: 1 << 20, behind: 2 << 20 };
const COMPACT: Shape = { size: 4 << 20, start: 64 << 10, behind: 64 << 10 };

/**
 * Writes a file with a root image and an osmet for each variant: every golden file is mapped, some in
 * two extents, some beyond the file's end; the rest of the disk comes from the xz stream.
 */
export async function nativeIso(
  folder: string,
  {
    image = 'squashfs-objects',
    edit = () => ({}),
    compact = false,
    ...more
  }: NativeIsoOptions = {},
): Promise<NativeIso> {
  const { checksum, object } = more;
  const shape = compact ? COMPACT : WIDE;
  const bytes = golden(`rootfs/${image}`);
  const { root, iso: holder } = openImage(bytes);
  const contents = [...new Set(listedFiles().map(([, sha256]) => sha256))].map((sha256) => {
    const file = root.find(`ostree/repo/objects/${sha256.slice(0, 2)}/${sha256.slice(2)}.file`);
    if (file === undefined) throw new Error(`the golden image lacks ${sha256}`);
    return { sha256, bytes: readRootFile(holder, file) };
  });

  const parts: Buffer[] = [bytes];
  const osmets: OsmetEntry[] = [];
  const disks = new Map<MetalVariant, Buffer>();
  for (const [variant, sectorSize] of [
    ['metal', 512],
    ['metal4k', 4096],
  ] as const) {
    const { disk, mappings, unmapped } = layOut(contents, { sectorSize, ...shape });
    if (object !== undefined) mappings.objects.set(Buffer.from(object, 'hex'), 0);
    disks.set(variant, disk);
    const name = `golden-${variant}.x86_64.osmet`;
    const digest = (checksum ?? createHash('sha256').update(disk).digest('hex')) as Sha256;
    const header = {
      appVersion: '0.26.0',
      sectorSize,
      description: 'Golden',
      architecture: 'x86_64',
    };
    const partitions = [{ start: shape.start, end: shape.size - shape.behind, mappings }];
    const osmet = encodeOsmet({ header, partitions, checksum: digest, size: shape.size });
    const { stdout } = await execa('xz', ['-0', '-c'], { input: unmapped, encoding: 'buffer' });
    const made = { image: bytes, osmet, xz: Buffer.from(stdout) };
    const { image: newImage, osmet: newOsmet, xz } = { ...made, ...edit(made) };
    parts[0] = newImage;
    const offset = parts.reduce((sum, part) => sum + part.length, 0);
    parts.push(newOsmet, xz);
    osmets.push({
      ...{ name, variant, sectorSize, description: 'Golden', arch: 'x86_64', appVersion: '0.26.0' },
      ...{ checksum: digest, diskSize: shape.size, mappedBytes: 0, partitions: 1 },
      ...{ mappings: mappings.count, offset, length: newOsmet.length + xz.length },
    });
  }
  const path = join(folder, 'live.iso');
  await writeFile(path, Buffer.concat(parts));
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const iso = wrap(path, parts[0]?.length ?? 0, size, osmets);
  return { iso, disks };
}

/**
 * Writes a file with the golden root file system and an osmet of its disk, packed by a release of coreos-installer;
 * see test/golden/osmet/releases.sh.
 */
export async function releasedIso(folder: string, version: string): Promise<LiveIso> {
  const image = golden('osmet/releases.squashfs');
  const bytes = golden(`osmet/release-${version}.osmet`);
  const { header, checksum, size: diskSize, ...osmet } = await readOsmet(memorySource(bytes));
  const path = join(folder, 'live.iso');
  await writeFile(path, Buffer.concat([image, bytes]));
  const entry: OsmetEntry = {
    ...{ name: 'golden-metal.x86_64.osmet', variant: 'metal', sectorSize: header.sectorSize },
    ...{
      description: header.description,
      arch: header.architecture,
      appVersion: header.appVersion,
    },
    ...{ checksum: checksum as Sha256, diskSize, mappedBytes: osmet.mappedBytes },
    ...{ partitions: osmet.partitions.length, mappings: osmet.mappings },
    ...{ offset: image.length, length: bytes.length },
  };
  return wrap(path, image.length, image.length + bytes.length, [entry]);
}

function wrap(path: string, image: number, size: number, osmets: OsmetEntry[]): LiveIso {
  const none = { path: '', offset: 0, length: 0 };
  return {
    ...{ path, size, volumeId: 'golden', arch: 'x86_64', kargs: '', osmets },
    rootImage: { path: 'root.squashfs', offset: 0, length: image },
    ...{ kernel: none, initrd: none, rootfs: none },
  };
}

/** A disk with the contents scattered over it, and the bytes in between. */
function layOut(
  contents: readonly { sha256: string; bytes: Buffer }[],
  { sectorSize, size, start, behind }: Shape & { readonly sectorSize: number },
) {
  const disk = Buffer.alloc(size);
  disk.write('a partition table', 0);
  disk.write('a file system', start + 100);
  disk.write('its backup', size - 100);
  const extents: { logical: number; physical: number; length: number; object: string }[] = [];
  let physical = start;
  for (const [index, { sha256, bytes }] of contents.entries()) {
    const block = Math.ceil(bytes.length / sectorSize) * sectorSize;
    // Every third file is in two pieces, the second one in front.
    const cut = index % 3 === 0 ? Math.floor(block / 2 / sectorSize) * sectorSize : 0;
    for (const [from, to] of [
      [cut, block],
      [0, cut],
    ] as const) {
      if (from === to) continue;
      extents.push({ logical: from, physical, length: to - from, object: sha256 });
      bytes.copy(disk, start + physical, from, to);
      physical += to - from + (index % 2) * sectorSize;
    }
  }
  const mappings: OsmetMappings = {
    count: extents.length,
    logical: Float64Array.from(extents, ({ logical }) => logical),
    physical: Float64Array.from(extents, (extent) => extent.physical),
    length: Float64Array.from(extents, ({ length }) => length),
    objects: Buffer.concat(extents.map(({ object }) => Buffer.from(object, 'hex'))),
  };
  const gaps: Buffer[] = [];
  let at = 0;
  for (const extent of extents) {
    gaps.push(disk.subarray(at, start + extent.physical));
    at = start + extent.physical + extent.length;
  }
  gaps.push(disk.subarray(at));
  if (start + physical > size - behind) throw new Error('the contents need a larger disk');
  return { disk, mappings, unmapped: Buffer.concat(gaps) };
}
