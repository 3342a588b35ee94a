import { UnsupportedError } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import { isZero } from '../../core/io/zero.ts';
import type { DeflateParams } from '../deflate/params.ts';
import { describeWithTables, segmentDraft } from '../segments/draft.ts';
import { clusterBytes } from './header.ts';
import { computeLayout } from './layout.ts';
import { lengthOnDisk, type Qcow2Metadata } from './metadata.ts';
import type { Qcow2Recipe, Segment } from './recipe.ts';

/** The results of checking the compressed clusters, by position in `metadata.clusters`. */
export interface Findings {
  readonly codecs: readonly DeflateParams[];
  /** Bytes that each compressed one takes in the file. */
  readonly lengths: Uint32Array;
  /** Index into `codecs`, -1 for one that none reproduces. */
  readonly codec: Int8Array;
}

const MAX_LITERALS = 16 << 20;
const GRID = 512;

type Table = Qcow2Metadata['tables'][number];

/** Describes the file front to back. Reads only metadata, and clusters that no deflater reproduces. */
export function describe(
  source: Source,
  metadata: Qcow2Metadata,
  findings: Findings,
  signal: AbortSignal | undefined,
): Promise<Qcow2Recipe> {
  return describeWithTables(
    source,
    metadata.tables,
    (asLiteral) => describeWith(source, metadata, findings, asLiteral, signal),
    (recipe) => {
      const layout = computeLayout(recipe);
      return ({ index }) => layout.table(index);
    },
  );
}

/** As {@link describe}; the tables of `asLiteral` are kept as they are. */
async function describeWith(
  source: Source,
  { header, tables, clusters, fileOrder }: Qcow2Metadata,
  { codecs, lengths, codec }: Findings,
  asLiteral: ReadonlySet<Table>,
  signal: AbortSignal | undefined,
): Promise<Qcow2Recipe> {
  const size = clusterBytes(header);
  const used = codecs.map((_, i) => i).filter((i) => codec.includes(i));
  const draft = segmentDraft<Segment>({
    ...{ source, grid: GRID, maxLiterals: MAX_LITERALS, signal },
    tooMuch: () =>
      new UnsupportedError(`${source.name}: too little of it can be reproduced`, {
        code: 'QCOW2_OPAQUE',
        context: { file: source.name, limit: MAX_LITERALS },
      }),
  });

  let at = 0;
  let next = 0; // in tables
  async function describeTables(before: number): Promise<void> {
    for (; ; next++) {
      const table = tables[next];
      if (table === undefined || table.start >= before) return;
      await draft.gap(at, table.start);
      at = table.start + size;
      if (asLiteral.has(table)) await draft.gap(table.start, at);
      else draft.add({ kind: 'table', index: table.index });
    }
  }

  const inFile: number[] = [];
  for (const i of fileOrder) {
    const { number = 0, start = 0, compressed = false } = clusters[i] ?? {};
    await describeTables(start);
    await draft.gap(at, start);
    if (!compressed) {
      await refuseTail(source, start, lengthOnDisk(header, number), size);
      draft.add({ kind: 'clusters', first: number, count: 1 });
      at = start + size;
      continue;
    }
    const found = codec[i] ?? -1;
    const length = lengths[i] ?? 0;
    inFile.push(length);
    at = start + length;
    if (found >= 0) {
      draft.add({ kind: 'deflated', first: number, count: 1, codec: used.indexOf(found) });
    } else {
      draft.add({ kind: 'literal-deflated', first: number, count: 1 });
      await draft.keep(start, length);
    }
  }
  await describeTables(source.size);
  await draft.gap(at, source.size);
  return {
    fileSize: source.size,
    clusterBits: header.clusterBits,
    diskSize: header.diskSize,
    codecs: codecs.filter((_, i) => used.includes(i)),
    segments: draft.segments,
    lengths: Uint32Array.from(inFile),
    literals: draft.literals(),
  };
}

/** Data of the last cluster beyond the end of the disk must be zero, because the disk does not contain it. */
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
