import type { MetalVariant } from '../../../images/platforms.ts';
import { FormatError, UnsupportedError } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import { type CpioMember, cpioMembers, safeMemberPath } from './cpio.ts';
import type { IsoExtent, OsmetEntry } from './live-iso.ts';
import { readOsmet } from './osmet.ts';
import type { Osmet } from './osmet-types.ts';

/** The contents of `rootfs.img`. Extents are in the ISO, their paths are member names. */
export interface Rootfs {
  /** The root file system, `root.squashfs` or `root.erofs`; `undefined` if there is none. */
  readonly rootImage: IsoExtent | undefined;
  /** In the order of their sector sizes. */
  readonly osmets: readonly OsmetEntry[];
  readonly members: readonly CpioMember[];
}

const ROOT_IMAGES = ['root.squashfs', 'root.erofs'];
/** Far more than a release has. */
const MAX_ROOTFS_MEMBERS = 1000;
const MAX_OSMETS = 8;
/** The name becomes a path in the guest and an argument of its shell. */
const OSMET_NAME = /^[A-Za-z0-9_][A-Za-z0-9._+-]*\.osmet$/;

/**
 * Walks the newc archive `rootfs.img` in place and reads the osmet headers and mappings.
 *
 * @throws FormatError `CPIO_*`, `OSMET_BAD`, `ISO_OSMET_NAME`, `ISO_OSMET_AMBIGUOUS`.
 */
export async function readRootfs(
  source: Source,
  rootfs: IsoExtent,
  signal?: AbortSignal,
): Promise<Rootfs> {
  const members: CpioMember[] = [];
  const range = {
    start: rootfs.offset,
    end: rootfs.offset + rootfs.length,
    name: rootfs.path,
    signal,
  };
  for await (const member of cpioMembers(source, range)) {
    if (members.push(member) > MAX_ROOTFS_MEMBERS) {
      throw new FormatError(`${rootfs.path} has more than ${MAX_ROOTFS_MEMBERS} members`, {
        code: 'ISO_ROOTFS_MEMBERS',
        context: { path: rootfs.path, limit: MAX_ROOTFS_MEMBERS },
      });
    }
  }
  const files = members.filter((member) => (member.mode & 0o170000) === 0o100000);
  const extentOf = (member: CpioMember): IsoExtent => ({
    path: safeMemberPath(member.name),
    offset: member.offset,
    length: member.size,
  });
  const images = files.map(extentOf).filter(({ path }) => ROOT_IMAGES.includes(path));
  if (images.length > 1) {
    throw new FormatError(`${rootfs.path} has ${images.length} root file systems`, {
      code: 'ISO_ROOT_AMBIGUOUS',
      context: { path: rootfs.path, images: images.map(({ path }) => path).join(', ') },
    });
  }
  const found = files.map(extentOf).filter(({ path }) => path.endsWith('.osmet'));
  if (found.length > MAX_OSMETS) {
    throw new FormatError(`${rootfs.path} has ${found.length} osmet files`, {
      code: 'ISO_OSMET_AMBIGUOUS',
      context: { path: rootfs.path, limit: MAX_OSMETS },
    });
  }
  const osmets: OsmetEntry[] = [];
  for (const extent of found) {
    const entry = await readOsmetEntry(source, extent, signal);
    const twin = osmets.find(({ variant }) => variant === entry.variant);
    if (twin) {
      throw new FormatError(`two osmet files for ${entry.sectorSize}-byte sectors`, {
        code: 'ISO_OSMET_AMBIGUOUS',
        context: { first: twin.name, second: entry.name },
        hint: 'use the ISO as released: it has one osmet per sector size',
      });
    }
    osmets.push(entry);
  }
  osmets.sort((a, b) => a.sectorSize - b.sectorSize);
  return { rootImage: images[0], osmets, members };
}

async function readOsmetEntry(
  source: Source,
  extent: IsoExtent,
  signal: AbortSignal | undefined,
): Promise<OsmetEntry> {
  if (!OSMET_NAME.test(extent.path)) {
    throw new FormatError(`impossible osmet name ${JSON.stringify(extent.path)}`, {
      code: 'ISO_OSMET_NAME',
      context: { name: extent.path, offset: extent.offset },
      hint: 'use the ISO as released',
    });
  }
  const range = { start: extent.offset, length: extent.length, name: extent.path, signal };
  const osmet = await readOsmet(source, range);
  const variant: MetalVariant = osmet.header.sectorSize === 4096 ? 'metal4k' : 'metal';
  return {
    name: extent.path,
    variant,
    sectorSize: osmet.header.sectorSize,
    description: osmet.header.description,
    arch: osmet.header.architecture,
    appVersion: osmet.header.appVersion,
    checksum: osmet.checksum,
    diskSize: osmet.size,
    mappedBytes: osmet.mappedBytes,
    partitions: osmet.partitions.length,
    mappings: osmet.mappings,
    offset: extent.offset,
    length: extent.length,
    contents: osmet,
  };
}

/** The osmet of an entry, read once for all users. Throws what {@link readOsmet} throws. */
export async function osmetOf(
  source: Source,
  { contents, offset: start, length, name }: OsmetEntry,
  signal?: AbortSignal,
): Promise<Osmet> {
  return contents ?? readOsmet(source, { start, length, name, signal });
}

/** @throws UnsupportedError `ISO_NO_OSMET`, `ISO_NO_ROOT_IMAGE` */
export function requireComplete(
  rootfs: Rootfs,
  extent: IsoExtent,
): { rootImage: IsoExtent; osmets: readonly [OsmetEntry, ...OsmetEntry[]] } {
  const { rootImage } = rootfs;
  const [first, ...others] = rootfs.osmets;
  if (first === undefined) {
    throw new UnsupportedError('the ISO carries no osmet: it cannot install its own metal image', {
      code: 'ISO_NO_OSMET',
      context: { rootfs: extent.path, members: rootfs.members.length },
      hint: 'use the full live ISO of the release; ISOs made by miniso or a netboot tool have none',
    });
  }
  if (rootImage === undefined) {
    throw new UnsupportedError(`${extent.path} has neither ${ROOT_IMAGES.join(' nor ')}`, {
      code: 'ISO_NO_ROOT_IMAGE',
      context: { rootfs: extent.path, members: rootfs.members.length },
      hint: 'use the full live ISO of the release',
    });
  }
  return { rootImage, osmets: [first, ...others] };
}
