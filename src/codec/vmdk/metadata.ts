import { FormatError, throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import {
  decodeHeader,
  type Geometry,
  grainCount,
  SECTOR,
  type SparseExtentHeader,
  tableCount,
} from './header.ts';

/** 256 GiB of data in the usual grains; keeps the arrays under 100 MiB. */
const MAX_ALLOCATED_GRAINS = 1 << 22;
/** A table entry that says "all zeros" without a grain. Needs header version 2. */
const GTE_ZEROED = 1;

/** A directory or a table, and where it is. */
export interface Structure {
  readonly kind: 'directory' | 'table';
  /** 0: the primary one; 1: the redundant one. */
  readonly copy: 0 | 1;
  /** Number of the table; 0 for a directory. */
  readonly index: number;
  /** Bytes. */
  readonly start: number;
  readonly length: number;
}

export interface VmdkMetadata {
  readonly header: SparseExtentHeader;
  /** In file order. */
  readonly structures: readonly Structure[];
  /** Numbers of the grains that are in the file, ascending, and the byte at which each starts. */
  readonly grains: readonly number[];
  readonly starts: readonly number[];
  /** Positions in `grains`, in file order. */
  readonly fileOrder: readonly number[];
  /** The byte up to which each grain may reach: where the next thing starts. By `grains`. */
  readonly limits: readonly number[];
}

/** Reads header, directories and tables of a streamOptimized VMDK. */
export async function readMetadata(
  source: Source,
  signal: AbortSignal | undefined,
): Promise<VmdkMetadata> {
  const { name } = source;
  const first = decodeHeader(await bytesAt(source, 0, SECTOR), name);
  // The footer is followed by the end-of-stream marker, one sector.
  const header =
    first.directory === undefined
      ? decodeHeader(await bytesAt(source, Math.max(0, source.size - 2 * SECTOR), SECTOR), name)
      : first;
  if (header.directory === undefined) throw damaged(name, 'has no grain directory');

  const structures: Structure[] = [];
  const grains: number[] = [];
  const starts: number[] = [];
  for (const table of await readDirectory(source, header, header.directory, 0, structures)) {
    throwIfAborted(signal);
    await readTable(source, header, table, grains, starts);
  }
  if (header.redundantDirectory) {
    await readDirectory(source, header, header.redundantDirectory, 1, structures);
  }
  structures.sort((a, b) => a.start - b.start);
  const fileOrder = starts.map((_, position) => position);
  fileOrder.sort((a, b) => (starts[a] ?? 0) - (starts[b] ?? 0));
  const limits = findLimits(source, structures, starts, fileOrder);
  return { header, structures, grains, starts, fileOrder, limits };
}

function damaged(name: string, problem: string, context: Record<string, number> = {}): FormatError {
  return new FormatError(`${name} ${problem}`, {
    code: 'VMDK_TABLES',
    context: { file: name, ...context },
    hint: 'fetch the image again; this file is damaged',
  });
}

async function bytesAt(source: Source, position: number, length: number): Promise<Uint8Array> {
  if (position + length > source.size) {
    throw damaged(source.name, 'has tables past its end', { offset: position, length });
  }
  const bytes = new Uint8Array(length);
  await source.read(bytes, position);
  return bytes;
}

/** Lists a directory and the tables that it points to in `structures`; returns those tables. */
async function readDirectory(
  source: Source,
  header: SparseExtentHeader,
  sector: number,
  copy: 0 | 1,
  structures: Structure[],
): Promise<readonly Structure[]> {
  const start = sector * SECTOR;
  const length = directoryBytes(header);
  const entries = new DataView((await bytesAt(source, start, length)).buffer);
  structures.push({ kind: 'directory', copy, index: 0, start, length });
  const tables: Structure[] = [];
  for (let index = 0; index < tableCount(header); index++) {
    const entry = entries.getUint32(4 * index, true);
    if (entry === 0) continue;
    const table: Structure = {
      kind: 'table',
      copy,
      index,
      start: entry * SECTOR,
      length: header.gtesPerTable * 4,
    };
    structures.push(table);
    tables.push(table);
  }
  return tables;
}

/** A directory takes whole sectors. */
export const directoryBytes = (geometry: Geometry): number =>
  Math.ceil((tableCount(geometry) * 4) / SECTOR) * SECTOR;

async function readTable(
  source: Source,
  header: SparseExtentHeader,
  table: Structure,
  grains: number[],
  starts: number[],
): Promise<void> {
  const entries = new DataView((await bytesAt(source, table.start, table.length)).buffer);
  const firstGrain = table.index * header.gtesPerTable;
  const count = Math.min(header.gtesPerTable, grainCount(header) - firstGrain);
  for (let i = 0; i < count; i++) {
    const entry = entries.getUint32(4 * i, true);
    if (entry === 0 || entry === GTE_ZEROED) continue;
    grains.push(firstGrain + i);
    starts.push(entry * SECTOR);
  }
  if (grains.length > MAX_ALLOCATED_GRAINS) {
    throw new UnsupportedError(`${source.name} has too many grains`, {
      code: 'VMDK_TOO_LARGE',
      context: { file: source.name, limit: MAX_ALLOCATED_GRAINS },
    });
  }
}

/** Merges grains and structures in file order; nothing may overlap. */
function findLimits(
  source: Source,
  structures: readonly Structure[],
  starts: readonly number[],
  fileOrder: readonly number[],
): number[] {
  const limits = new Array<number>(starts.length).fill(source.size);
  const overlap = (offset: number) =>
    damaged(source.name, 'has overlapping grains or tables', { offset });
  let next = 0; // in structures
  let end = SECTOR; // of what came before
  const passStructures = (before: number) => {
    for (; ; next++) {
      const structure = structures[next];
      if (structure === undefined || structure.start >= before) return structure;
      if (structure.start < end) throw overlap(structure.start);
      end = structure.start + structure.length;
    }
  };
  for (const [i, position] of fileOrder.entries()) {
    const start = starts[position] ?? 0;
    const structure = passStructures(start);
    if (start < end || start + SECTOR > source.size) throw overlap(start);
    const following = fileOrder[i + 1];
    const nextGrain = following === undefined ? source.size : (starts[following] ?? 0);
    limits[position] = Math.min(nextGrain, structure?.start ?? source.size);
    end = start + SECTOR;
  }
  passStructures(source.size);
  return limits;
}
