import { throwIfAborted, UnsupportedError } from '../../errors.ts';
import type { Source } from '../../io/source.ts';
import { isZero, zeroRuns } from '../../io/zero.ts';
import type { DeflateParams } from '../deflate/params.ts';
import { clusterBytes } from './header.ts';
import { computeLayout } from './layout.ts';
import { lengthOnDisk, type Qcow2Metadata } from './metadata.ts';
import type { Qcow2Recipe, Segment } from './recipe.ts';

/** What checking the compressed clusters found out; by position in `metadata.clusters`. */
export interface Findings {
  readonly codecs: readonly DeflateParams[];
  /** Bytes that each compressed one takes in the file. */
  readonly lengths: Uint32Array;
  /** Index into `codecs`, -1 for one that none reproduces. */
  readonly codec: Int8Array;
}

/** More literal bytes than this make a poor recipe: then the file is better taken as it is. */
const MAX_LITERALS = 16 << 20;
const GAP_CHUNK = 1 << 20;
const GRID = 512;

/** Describes the file front to back. Reads what is no cluster, and clusters that nothing reproduces. */
export async function describe(
  source: Source,
  metadata: Qcow2Metadata,
  findings: Findings,
  signal: AbortSignal | undefined,
): Promise<Qcow2Recipe> {
  const draft = await describeWith(source, metadata, findings, new Set(), signal);
  const wrong = await wrongTables(source, metadata, draft);
  return wrong.size === 0 ? draft : describeWith(source, metadata, findings, wrong, signal);
}

/** As {@link describe}; the tables of `asLiteral` are kept as they are. */
async function describeWith(
  source: Source,
  { header, tables, clusters, fileOrder }: Qcow2Metadata,
  { codecs, lengths, codec }: Findings,
  asLiteral: ReadonlySet<number>,
  signal: AbortSignal | undefined,
): Promise<Qcow2Recipe> {
  const size = clusterBytes(header);
  const used = codecs.map((_, i) => i).filter((i) => codec.includes(i));
  const segments: Segment[] = [];
  const literals: Uint8Array[] = [];
  let literalBytes = 0;
  const add = (segment: Segment) => {
    const joined = join(segments.at(-1), segment);
    if (joined) segments[segments.length - 1] = joined;
    else segments.push(segment);
  };
  async function read(position: number, length: number): Promise<Uint8Array> {
    throwIfAborted(signal);
    const bytes = new Uint8Array(length);
    await source.read(bytes, position);
    return bytes;
  }
  function keep(bytes: Uint8Array): void {
    literals.push(bytes);
    literalBytes += bytes.length;
    if (literalBytes <= MAX_LITERALS) return;
    throw new UnsupportedError(`${source.name}: too little of it can be reproduced`, {
      code: 'QCOW2_OPAQUE',
      context: { file: source.name, limit: MAX_LITERALS },
    });
  }
  async function describeGap(start: number, end: number): Promise<void> {
    for (let at = start; at < end; at += GAP_CHUNK) {
      const bytes = await read(at, Math.min(GAP_CHUNK, end - at));
      for (const run of zeroRuns(bytes, at, GRID)) {
        add({ kind: run.zero ? 'zeros' : 'literal', length: run.end - run.start });
        if (!run.zero) keep(bytes.slice(run.start, run.end));
      }
    }
  }

  let at = 0;
  let next = 0; // in tables
  async function describeTables(before: number): Promise<void> {
    for (; ; next++) {
      const table = tables[next];
      if (table === undefined || table.start >= before) return;
      await describeGap(at, table.start);
      at = table.start + size;
      if (asLiteral.has(table.index)) await describeGap(table.start, at);
      else add({ kind: 'table', index: table.index });
    }
  }

  const inFile: number[] = [];
  for (const i of fileOrder) {
    const { number = 0, start = 0, compressed = false } = clusters[i] ?? {};
    await describeTables(start);
    await describeGap(at, start);
    if (!compressed) {
      await refuseTail(source, start, lengthOnDisk(header, number), size);
      add({ kind: 'clusters', first: number, count: 1 });
      at = start + size;
      continue;
    }
    const found = codec[i] ?? -1;
    const length = lengths[i] ?? 0;
    inFile.push(length);
    at = start + length;
    if (found >= 0) add({ kind: 'deflated', first: number, count: 1, codec: used.indexOf(found) });
    else {
      add({ kind: 'literal-deflated', first: number, count: 1 });
      keep(await read(start, length));
    }
  }
  await describeTables(source.size);
  await describeGap(at, source.size);
  return {
    fileSize: source.size,
    clusterBits: header.clusterBits,
    diskSize: header.diskSize,
    codecs: codecs.filter((_, i) => used.includes(i)),
    segments,
    lengths: Uint32Array.from(inFile),
    literals: Buffer.concat(literals),
  };
}

/** What the last cluster has beyond the disk must be zeros, or the disk would not tell it. */
async function refuseTail(source: Source, start: number, length: number, size: number) {
  if (length === size) return;
  const bytes = new Uint8Array(size - length);
  await source.read(bytes, start + length);
  if (isZero(bytes)) return;
  throw new UnsupportedError(`${source.name} has data beyond the end of its disk`, {
    code: 'QCOW2_OPAQUE',
    context: { file: source.name, offset: start + length },
  });
}

/** Tables that do not hold what their recipe would compute, such as entries that read as zeros. */
async function wrongTables(
  source: Source,
  { header, tables }: Qcow2Metadata,
  recipe: Qcow2Recipe,
): Promise<Set<number>> {
  const layout = computeLayout(recipe);
  const wrong = new Set<number>();
  for (const { index, start } of tables) {
    const bytes = Buffer.alloc(clusterBytes(header));
    await source.read(bytes, start);
    if (!bytes.equals(layout.table(index))) wrong.add(index);
  }
  return wrong;
}

/** One segment instead of two where the second continues the first. */
function join(last: Segment | undefined, next: Segment): Segment | undefined {
  if (last === undefined || last.kind !== next.kind) return undefined;
  if ('length' in last && 'length' in next) return { ...next, length: last.length + next.length };
  if (!('first' in last && 'first' in next) || last.first + last.count !== next.first) {
    return undefined;
  }
  if (last.kind === 'deflated' && next.kind === 'deflated' && last.codec !== next.codec) {
    return undefined;
  }
  return { ...next, first: last.first, count: last.count + next.count };
}
