import { throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import { decodeEntry, tableStart } from './entry.ts';
import {
  clusterBytes,
  clusterCount,
  damaged,
  decodeHeader,
  type Geometry,
  HEADER_BYTES,
  type Qcow2Header,
  tableCount,
  tableEntries,
} from './header.ts';

/** 256 GiB of data in the usual clusters; keeps the arrays under 100 MiB. */
export const MAX_ALLOCATED = 1 << 22;

export interface Qcow2Metadata {
  readonly header: Qcow2Header;
  /** L2 tables that are in the file, in file order. */
  readonly tables: readonly { readonly index: number; readonly start: number }[];
  /** Clusters that are in the file, in the order of the disk. */
  readonly clusters: readonly AllocatedCluster[];
  /** Positions in `clusters`, in file order. */
  readonly fileOrder: readonly number[];
}

export interface AllocatedCluster {
  /** Number of the cluster on the disk. */
  readonly number: number;
  /** Byte of the file. */
  readonly start: number;
  /** How far it may reach: to the next thing in the file. */
  readonly limit: number;
  readonly compressed: boolean;
}

/** Reads header and tables. */
export async function readMetadata(
  source: Source,
  signal: AbortSignal | undefined,
): Promise<Qcow2Metadata> {
  const { name } = source;
  const header = decodeHeader(await bytesAt(source, 0, HEADER_BYTES), name);
  const size = clusterBytes(header);
  const l1 = await bytesAt(source, header.l1Offset, 8 * tableCount(header));
  const tables: { index: number; start: number }[] = [];
  const clusters: (AllocatedCluster & { limit: number })[] = [];
  const entries = tableEntries(header);
  for (let index = 0; index < tableCount(header); index++) {
    throwIfAborted(signal);
    const start = tableStart(l1.readBigUInt64BE(8 * index));
    if (start === 0) continue;
    if (start % size !== 0) throw damaged(name, 'has an unaligned table', { offset: start });
    tables.push({ index, start });
    const table = await bytesAt(source, start, size);
    const first = index * entries;
    const count = Math.min(entries, clusterCount(header) - first);
    for (let i = 0; i < count; i++) {
      const word = table.readBigUInt64BE(8 * i);
      if (word === 0n) continue;
      const entry = decodeEntry(word, header.clusterBits);
      if (entry.kind === 'nothing') continue;
      const compressed = entry.kind === 'compressed';
      if (clusters.length === MAX_ALLOCATED) {
        throw new UnsupportedError(`${name} has too many clusters`, {
          code: 'QCOW2_TOO_LARGE',
          context: { file: name, limit: MAX_ALLOCATED },
        });
      }
      const limit = compressed ? Math.min(entry.end, source.size) : entry.start + size;
      if (
        entry.start % (compressed ? 1 : size) !== 0 ||
        limit > source.size ||
        entry.start >= limit
      ) {
        throw damaged(name, 'has an unaligned cluster or one past its end', {
          offset: entry.start,
        });
      }
      clusters.push({ number: first + i, start: entry.start, limit, compressed });
    }
  }
  tables.sort((a, b) => a.start - b.start);
  const fileOrder = clusters.map((_, position) => position);
  fileOrder.sort((a, b) => (clusters[a]?.start ?? 0) - (clusters[b]?.start ?? 0));
  setLimits(name, size, tables, clusters, fileOrder);
  return { header, tables, clusters, fileOrder };
}

/** A cluster extends to the next structure in the file; nothing may overlap, not even the same table twice. */
function setLimits(
  name: string,
  size: number,
  tables: readonly { readonly start: number }[],
  clusters: readonly { start: number; limit: number; compressed: boolean }[],
  fileOrder: readonly number[],
): void {
  const overlap = (offset: number) =>
    damaged(name, 'has overlapping clusters or tables', { offset });
  let next = 0; // in tables
  let end = HEADER_BYTES;
  const passTables = (before: number) => {
    for (; ; next++) {
      const table = tables[next];
      if (table === undefined || table.start >= before) return table?.start;
      if (table.start < end) throw overlap(table.start);
      end = table.start + size;
    }
  };
  for (const [i, position] of fileOrder.entries()) {
    const cluster = clusters[position];
    if (cluster === undefined) throw new RangeError(`no cluster ${position}`);
    const table = passTables(cluster.start);
    if (cluster.start < end) throw overlap(cluster.start);
    const following = clusters[fileOrder[i + 1] ?? -1]?.start;
    const room = Math.min(following ?? Number.POSITIVE_INFINITY, table ?? Number.POSITIVE_INFINITY);
    if (!cluster.compressed && room < cluster.limit) throw overlap(room);
    cluster.limit = Math.min(cluster.limit, room);
    // The real length of compressed data is found later; it is at least one byte.
    end = cluster.compressed ? cluster.start + 1 : cluster.limit;
  }
  passTables(Number.POSITIVE_INFINITY);
}

async function bytesAt(source: Source, position: number, length: number): Promise<Buffer> {
  if (position + length > source.size) {
    throw damaged(source.name, 'has tables past its end', { offset: position, length });
  }
  const bytes = Buffer.alloc(length);
  await source.read(bytes, position);
  return bytes;
}

/** Bytes of a cluster that are on the disk: all of it, or the rest of the disk. */
export function lengthOnDisk(geometry: Geometry, number: number): number {
  const size = clusterBytes(geometry);
  return Math.min(size, geometry.diskSize - number * size);
}
