import type { Source } from '../../../core/io/source.ts';
import { openExt4 } from './ext4.ts';
import { readGpt } from './gpt.ts';
import { bytesAt, type Region } from './region.ts';
import { openXfs } from './xfs.ts';

/** Tells what lies where on a CoreOS disk. */
export interface DiskGuide {
  /** `size` is that of the disk in question, which may be larger than the one that was read. */
  describe(offset: number, size: number): string;
}

export interface GuideOptions {
  /** Whose content is at an offset of the disk: OSTree objects, as an osmet names them. */
  readonly objects?: ((offset: number) => string | undefined) | undefined;
}

/**
 * Reads the structure of a disk: partition table, boot record, file systems. Images of one release
 * share it, so the metal disk explains what differs in any of them. Never throws for odd contents.
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
      if (region === undefined) return 'outside of all partitions';
      const inside = region.describe(offset);
      if (inside === '') return region.label;
      // zipl keeps where the kernel's blocks are in a file of its own.
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

/** Numbers of a hostile file system lead anywhere; then there is merely less to tell. */
function ignoreRange(error: unknown): undefined {
  if (error instanceof RangeError) return undefined;
  throw error;
}
