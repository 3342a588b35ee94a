import type { Source } from '../../../core/io/source.ts';
import { bytesAt } from './region.ts';

/** UEFI specification 2.10, 5.3 "GUID Partition Table Disk Layout". Offsets in bytes. */
export interface Gpt {
  readonly sectorSize: number;
  readonly entriesStart: number;
  readonly entriesEnd: number;
  readonly partitions: readonly GptPartition[];
}

export interface GptPartition {
  /** From 1. */
  readonly number: number;
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

const SIGNATURE = 'EFI PART';
const MAX_ENTRIES = 256;

/** The disk's primary table, or undefined if it has none. */
export async function readGpt(disk: Source): Promise<Gpt | undefined> {
  for (const sectorSize of [512, 4096]) {
    const header = await bytesAt(disk, sectorSize, 92);
    if (header.toString('latin1', 0, 8) !== SIGNATURE) continue;
    const entriesStart = Number(header.readBigUInt64LE(72)) * sectorSize;
    const count = Math.min(header.readUInt32LE(80), MAX_ENTRIES);
    const size = header.readUInt32LE(84);
    if (size < 128 || size > 4096) return undefined;
    const table = await bytesAt(disk, entriesStart, count * size);
    const partitions: GptPartition[] = [];
    for (let i = 0; i < count; i++) {
      const entry = table.subarray(i * size, (i + 1) * size);
      const start = Number(entry.readBigUInt64LE(32)) * sectorSize;
      const end = (Number(entry.readBigUInt64LE(40)) + 1) * sectorSize;
      if (entry.subarray(0, 16).every((byte) => byte === 0) || end <= start) continue;
      const name = entry.toString('utf16le', 56, 128).replace(/\0.*$/s, '');
      partitions.push({ number: i + 1, name: name.replace(/[^\w.+-]/g, '-'), start, end });
    }
    return { sectorSize, entriesStart, entriesEnd: entriesStart + count * size, partitions };
  }
  return undefined;
}
