import type { Source } from '../../../core/io/source.ts';
import { bytesAt, type Region } from './region.ts';

/** XFS Filesystem Structure, 3rd edition: `xfs_sb`, "Allocation Groups". Big endian. */
const MAGIC = 'XFSB';
/** First sectors of each allocation group. */
const HEADERS = [
  'superblock',
  'AGF (free space header)',
  'AGI (inode header)',
  'AGFL (free list)',
] as const;

/** Undefined if there is no XFS at `start`. `files` names the owner of data. */
export async function openXfs(
  disk: Source,
  start: number,
  end: number,
  files: (offset: number) => string | undefined,
): Promise<Region | undefined> {
  const superblock = await bytesAt(disk, start, 512);
  if (superblock.toString('latin1', 0, 4) !== MAGIC) return undefined;
  const blockSize = superblock.readUInt32BE(4);
  const logStart = superblock.readBigUInt64BE(48);
  const groupBlocks = superblock.readUInt32BE(84);
  const logBlocks = superblock.readUInt32BE(96);
  const sectorSize = superblock.readUInt16BE(102);
  const groupBits = superblock.readUInt8(124);
  if (blockSize < 512 || groupBlocks === 0 || sectorSize < 512 || groupBits > 32) return undefined;
  const groupBytes = groupBlocks * blockSize;
  // A file system block number is group << groupBits | block.
  const logGroup = Number(logStart >> BigInt(groupBits));
  const logBlock = Number(logStart & ((1n << BigInt(groupBits)) - 1n));
  const log = logGroup * groupBytes + logBlock * blockSize;
  return {
    start,
    end,
    describe(offset) {
      const at = offset - start;
      const group = Math.floor(at / groupBytes);
      const within = at % groupBytes;
      const header = HEADERS[Math.floor(within / sectorSize)];
      if (header) return group === 0 ? header : `${header} of allocation group ${group}`;
      if (logStart > 0n && at >= log && at < log + logBlocks * blockSize) return 'log';
      const block = Math.floor(within / blockSize);
      return files(offset) ?? `allocation group ${group}, block ${block} (metadata or other file)`;
    },
  };
}
