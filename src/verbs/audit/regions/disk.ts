import type { Source } from '../../../core/io/source.ts';
import { openExt4 } from './ext4.ts';
import { readGpt } from './gpt.ts';
import { bytesAt, type Region } from './region.ts';
import { openXfs } from './xfs.ts';

/** Describes the regions of a CoreOS disk. */
export interface DiskGuide {
  /** `size` is the size of the disk to describe, which may be larger than the one that was read. */
  describe(offset: number, size: number): string;
}

export interface GuideOptions {
  /** The owner of the content at an offset of the disk: an OSTree object, named by an osmet. */
  readonly objects?: ((offset: number) => string | undefined) | undefined;
}

/**
 * Reads the structure of a disk: partition table, boot record, file systems. Images of one release share
 * it, so the metal disk explains differences in all of them. Never throws because of the contents.
 */
export async function openDiskGuide(
  disk: Source,
  { objects = () => undefined }: GuideOptions = {},
): Promise<DiskGuide> {
  const gpt = await readGpt(disk);
  const sectorSize = gpt?.sectorSize ?? 512;
  const regions: (Region & { readonly label: string })[] = [];
  for (const { number, name, start, end } of gpt?.partitions ?? []) {
    const opened = await openPartition(disk, start, end, objects);
    const kind = opened?.kind ?? 'partition';
    const label = `${name || `partition ${number}`} ${kind}`;
    regions.push({ start, end, label, describe: opened?.region.describe ?? (() => '') });
  }
  const bootRecord = (await bytesAt(disk, 0, 4)).toString('latin1');
  return {
    describe(offset, size) {
      if (offset < sectorSize) return bootRecord === 'zIPL' ? 'zipl boot record' : 'MBR';
      if (gpt && offset < 2 * sectorSize) return 'GPT: primary header';
      if (gpt && offset >= gpt.entriesStart && offset < gpt.entriesEnd) {
        return 'GPT: primary partition entries';
      }
      const entries = (gpt?.entriesEnd ?? 0) - (gpt?.entriesStart ?? 0);
      if (gpt && offset >= size - sectorSize) return 'GPT: backup header';
      if (gpt && offset >= size - sectorSize - entries) return 'GPT: backup partition entries';
      const region = regions.find(({ start, end }) => offset >= start && offset < end);
      if (region === undefined) return 'outside all partitions';
      const inside = region.describe(offset);
      if (inside === '') return region.label;
      // zipl records the positions of the kernel's blocks in a separate file.
      const isMap = /\/bootmap$/.test(inside);
      return `${region.label}: ${isMap ? `zipl map, ${inside}` : inside}`;
    },
  };
}

async function openPartition(
  disk: Source,
  start: number,
  end: number,
  objects: (offset: number) => string | undefined,
): Promise<{ kind: string; region: Region } | undefined> {
  const ext4 = await openExt4(disk, start, end).catch(ignoreRange);
  if (ext4) return { kind: 'ext4', region: ext4 };
  const xfs = await openXfs(disk, start, end, objects).catch(ignoreRange);
  if (xfs) return { kind: 'XFS', region: xfs };
  const head = await bytesAt(disk, start, 512);
  if (head.readUInt16LE(510) !== 0xaa55) return undefined;
  const reserved = head.readUInt16LE(14) * (head.readUInt16LE(11) || 512);
  const fat = (head[16] ?? 0) * (head.readUInt32LE(36) || head.readUInt16LE(22)) * 512;
  const describe = (offset: number) => {
    if (offset - start < reserved) return 'boot sectors';
    return offset - start < reserved + fat ? 'allocation table' : 'files and folders';
  };
  return { kind: 'FAT', region: { start, end, describe } };
}

/** A hostile file system may contain any numbers; then there is less to describe. */
function ignoreRange(error: unknown): undefined {
  if (error instanceof RangeError) return undefined;
  throw error;
}
