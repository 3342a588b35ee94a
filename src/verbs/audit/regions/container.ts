import { detectContainer, HEAD_BYTES, TAIL_BYTES } from '../../../../images/containers.ts';
import type { Container } from '../../../../images/platforms.ts';
import { clusterBytes } from '../../../codec/qcow2/header.ts';
import { readMetadata as readQcow2 } from '../../../codec/qcow2/metadata.ts';
import { readTar } from '../../../codec/splice/tar.ts';
import { SECTOR } from '../../../codec/vmdk/header.ts';
import { readMetadata as readVmdk } from '../../../codec/vmdk/metadata.ts';
import { RehydrateError, throwIfAborted } from '../../../core/errors.ts';
import { sliceSource } from '../../../core/io/slice-source.ts';
import type { Source } from '../../../core/io/source.ts';
import type { DiskGuide } from './disk.ts';
import { bytesAt } from './region.ts';

/**
 * Describes the byte at an offset of a file, outermost container first: `member disk.vmdk › grain › boot
 * ext4: superblock`.
 */
export type Describe = (offset: number) => string;

const IN = ' › ';
const MAX_DEPTH = 4;

export interface FileGuideOptions {
  readonly signal?: AbortSignal | undefined;
  /** Maps an offset of the file to an offset of the disk where that is known without the container's tables. */
  readonly onDisk?: ((offset: number) => number | undefined) | undefined;
}

/**
 * Reads the tables of a container, which is recognized by its contents, not its name. `guide` describes the
 * disk inside. A malformed file is described as far as possible.
 */
export async function openFileGuide(
  file: Source,
  guide: DiskGuide | undefined,
  options: FileGuideOptions = {},
  depth = 0,
): Promise<Describe> {
  const { signal } = options;
  const head = await bytesAt(file, 0, Math.min(HEAD_BYTES, file.size));
  const tail = await bytesAt(file, Math.max(0, file.size - TAIL_BYTES), TAIL_BYTES);
  const container = detectContainer(head, tail);
  try {
    if (container === 'qcow2') return await qcow2Guide(file, guide, signal);
    if (container === 'vmdk') return await vmdkGuide(file, guide, signal);
    if (container === 'tar' && depth < MAX_DEPTH)
      return await tarGuide(file, guide, options, depth);
  } catch (error) {
    throwIfAborted(signal);
    if (!(error instanceof RehydrateError)) throw error;
    return (offset) => `byte ${offset} of a ${container} with unreadable tables`;
  }
  const flat = flatGuide(file, container, guide);
  if (container === 'raw' || container === 'vhd') return flat;
  return (offset) => {
    const disk = guide && options.onDisk?.(offset);
    return disk === undefined ? flat(offset) : flat(offset) + inside(guide, disk, Number.MAX_VALUE);
  };
}

/** Files that hold their disk, if any, uncompressed and in one piece. */
function flatGuide(file: Source, container: Container, guide: DiskGuide | undefined): Describe {
  const onDisk = (offset: number, size: number) => guide?.describe(offset, size) ?? 'disk';
  switch (container) {
    case 'raw':
      return (offset) => onDisk(offset, file.size);
    case 'vhd': {
      const size = file.size - TAIL_BYTES;
      return (offset) => (offset >= size ? 'VHD footer' : onDisk(offset, size));
    }
    case 'vhdx':
      // MS-VHDX 2.2: identifier, two headers and two region tables, each in 64 KiB.
      return (offset) =>
        ['VHDX file identifier', 'VHDX header', 'VHDX header', 'VHDX region table'][
          Math.floor(offset / 65_536)
        ] ?? (offset < 1 << 20 ? 'VHDX region table' : 'VHDX log, tables or data');
    case 'gzip':
      return (offset) => (offset < 10 ? 'gzip header' : 'gzip: compressed data');
    default:
      return (offset) => `${container === 'opaque' ? 'file' : container}: byte ${offset}`;
  }
}

async function qcow2Guide(
  file: Source,
  guide: DiskGuide | undefined,
  signal: AbortSignal | undefined,
): Promise<Describe> {
  const { header, tables, clusters, fileOrder } = await readQcow2(file, signal);
  const size = clusterBytes(header);
  const l1End = header.l1Offset + header.l1Entries * 8;
  const refcounts = Number((await bytesAt(file, 48, 8)).readBigUInt64BE());
  const starts = fileOrder.map((position) => clusters[position]?.start ?? 0);
  return (offset) => {
    if (offset < size) return 'qcow2 header';
    if (offset >= header.l1Offset && offset < l1End) return 'qcow2 L1 table';
    const table = tables.find(({ start }) => offset >= start && offset < start + size);
    if (table) return `qcow2 L2 table ${table.index}`;
    const found = lastAtMost(starts, offset);
    const cluster = clusters[fileOrder[found] ?? -1];
    if (cluster && offset < cluster.limit) {
      const within = cluster.compressed ? 0 : offset - cluster.start;
      const disk = cluster.number * size + within;
      const kind = cluster.compressed ? 'compressed cluster' : 'cluster';
      return `qcow2 ${kind} ${cluster.number}${inside(guide, disk, header.diskSize)}`;
    }
    return offset >= refcounts && offset < refcounts + size
      ? 'qcow2 refcount table'
      : 'qcow2 refcounts or padding';
  };
}

async function vmdkGuide(
  file: Source,
  guide: DiskGuide | undefined,
  signal: AbortSignal | undefined,
): Promise<Describe> {
  const { header, structures, grains, starts, fileOrder, limits } = await readVmdk(file, signal);
  const fixed = await bytesAt(file, 28, 16);
  const descriptor = Number(fixed.readBigUInt64LE(0)) * SECTOR;
  const descriptorEnd = descriptor + Number(fixed.readBigUInt64LE(8)) * SECTOR;
  const grainBytes = header.grainSectors * SECTOR;
  const inFile = fileOrder.map((position) => starts[position] ?? 0);
  return (offset) => {
    if (offset < SECTOR) return 'VMDK header';
    if (offset >= descriptor && offset < descriptorEnd) return 'VMDK descriptor';
    const structure = structures.find((s) => offset >= s.start && offset < s.start + s.length);
    if (structure) {
      const { kind, copy, index } = structure;
      const which = kind === 'directory' ? 'grain directory' : `grain table ${index}`;
      return `VMDK ${copy === 1 ? 'redundant ' : ''}${which}`;
    }
    const position = fileOrder[lastAtMost(inFile, offset)] ?? -1;
    const grain = grains[position];
    if (grain !== undefined && offset < (limits[position] ?? 0)) {
      return `VMDK grain ${grain}${inside(guide, grain * grainBytes, header.capacity * SECTOR)}`;
    }
    return 'VMDK markers, footer or padding';
  };
}

async function tarGuide(
  file: Source,
  guide: DiskGuide | undefined,
  options: FileGuideOptions,
  depth: number,
): Promise<Describe> {
  const members: { name: string; start: number; length: number; describe: Describe }[] = [];
  for (const { start, length } of await readTar(file, options.signal)) {
    const header = await bytesAt(file, start - 512, 100);
    const name = header
      .toString('latin1')
      .replace(/\0.*$/s, '')
      .replace(/[^\w./+-]/g, '?');
    const describe = await openFileGuide(
      sliceSource(file, start, length),
      guide,
      { signal: options.signal },
      depth + 1,
    );
    members.push({ name, start, length, describe });
  }
  return (offset) => {
    const member = members.find((m) => offset >= m.start && offset < m.start + m.length);
    if (member === undefined) return 'tar headers or padding';
    return `member ${member.name}${IN}${member.describe(offset - member.start)}`;
  };
}

const inside = (guide: DiskGuide | undefined, offset: number, size: number) =>
  guide ? IN + guide.describe(offset, size) : ` (disk offset ${offset})`;

/** Index of the last of ascending numbers that is at most `value`; -1 if none is. */
function lastAtMost(numbers: readonly number[], value: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] ?? 0) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
