import { throwIfAborted, UnsupportedError } from '../../errors.ts';
import type { Source } from '../../io/source.ts';
import { zeroRuns } from '../../io/zero.ts';
import type { DeflateParams } from '../deflate/params.ts';
import { SECTOR } from './header.ts';
import { computeLayout } from './layout.ts';
import type { Structure, VmdkMetadata } from './metadata.ts';
import type { Segment, VmdkRecipe } from './recipe.ts';

/** What checking the grains found out; by position in `metadata.grains`. */
export interface GrainFindings {
  readonly codecs: readonly DeflateParams[];
  /** Sectors that each takes in the file. */
  readonly sectors: Uint32Array;
  /** Index into `codecs`, -1 for a grain that none reproduces. */
  readonly codec: Int8Array;
  paddedTail: boolean;
}

/** More literal bytes than this make a poor recipe: then the file is better taken as it is. */
const MAX_LITERALS = 16 << 20;
const GAP_CHUNK = 1 << 20;

/** Describes the file front to back. Reads what is no grain, and grains that nothing reproduces. */
export async function describe(
  source: Source,
  metadata: VmdkMetadata,
  findings: GrainFindings,
  signal: AbortSignal | undefined,
): Promise<VmdkRecipe> {
  const draft = await describeWith(source, metadata, findings, new Set(), signal);
  const wrong = await wrongTables(source, metadata, draft);
  return wrong.size === 0 ? draft : describeWith(source, metadata, findings, wrong, signal);
}

/** As {@link describe}; the structures of `asLiteral` are kept as they are. */
async function describeWith(
  source: Source,
  { header, structures, grains, starts, fileOrder }: VmdkMetadata,
  { codecs, sectors, codec, paddedTail }: GrainFindings,
  asLiteral: ReadonlySet<Structure>,
  signal: AbortSignal | undefined,
): Promise<VmdkRecipe> {
  const used = codecs.map((_, i) => i).filter((i) => codec.includes(i));
  const segments = segmentList();
  const literals: Uint8Array[] = [];
  let literalBytes = 0;

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
      code: 'VMDK_OPAQUE',
      context: { file: source.name, limit: MAX_LITERALS },
      hint: 'its deflater is none that this version carries; take the file as it is',
    });
  }
  async function describeGap(start: number, end: number): Promise<void> {
    for (let at = start; at < end; at += GAP_CHUNK) {
      const bytes = await read(at, Math.min(GAP_CHUNK, end - at));
      for (const run of zeroRuns(bytes, at, SECTOR)) {
        segments.add({ kind: run.zero ? 'zeros' : 'literal', length: run.end - run.start });
        if (!run.zero) keep(bytes.slice(run.start, run.end));
      }
    }
  }

  let at = 0;
  let next = 0; // in structures
  async function describeStructures(before: number): Promise<void> {
    for (; ; next++) {
      const structure = structures[next];
      if (structure === undefined || structure.start >= before) return;
      await describeGap(at, structure.start);
      at = structure.start + structure.length;
      const { kind, copy, index } = structure;
      const literal = asLiteral.has(structure);
      if (kind === 'table') {
        const found = literal ? 'literal-tables' : 'tables';
        segments.add({ kind: found, copy, first: index, count: 1 });
        if (literal) keep(await read(structure.start, structure.length));
      } else if (literal) {
        await describeGap(structure.start, at);
      } else {
        segments.add({ kind, copy });
      }
    }
  }

  for (const position of fileOrder) {
    const start = starts[position] ?? 0;
    await describeStructures(start);
    await describeGap(at, start);
    const first = grains[position] ?? 0;
    const found = codec[position] ?? -1;
    at = start + (sectors[position] ?? 0) * SECTOR;
    if (found >= 0) {
      segments.add({ kind: 'grains', first, count: 1, codec: used.indexOf(found) });
    } else {
      segments.add({ kind: 'literal-grains', first, count: 1 });
      keep(await read(start, at - start));
    }
  }
  await describeStructures(source.size);
  await describeGap(at, source.size);

  return {
    fileSize: source.size,
    capacity: header.capacity,
    grainSectors: header.grainSectors,
    gtesPerTable: header.gtesPerTable,
    paddedTail,
    codecs: codecs.filter((_, i) => used.includes(i)),
    segments: segments.list,
    sectors: Uint32Array.from(fileOrder, (position) => sectors[position] ?? 0),
    literals: Buffer.concat(literals),
  };
}

/** Structures that do not hold what their recipe would compute: zeroed grains, stale copies. */
async function wrongTables(
  source: Source,
  { structures }: VmdkMetadata,
  recipe: VmdkRecipe,
): Promise<Set<Structure>> {
  const layout = computeLayout(recipe);
  const wrong = new Set<Structure>();
  for (const structure of structures) {
    const { kind, copy, index, start, length } = structure;
    const bytes = Buffer.alloc(length);
    await source.read(bytes, start);
    const computed = kind === 'directory' ? layout.directory(copy) : layout.tables(index, 1);
    if (!bytes.equals(computed)) wrong.add(structure);
  }
  return wrong;
}

/** Joins what continues the segment before it. */
function segmentList() {
  const list: Segment[] = [];
  return {
    list,
    add(segment: Segment): void {
      const joined = join(list.at(-1), segment);
      if (joined) list[list.length - 1] = joined;
      else list.push(segment);
    },
  };
}

function join(last: Segment | undefined, next: Segment): Segment | undefined {
  if (last === undefined) return undefined;
  if ('length' in last && 'length' in next && last.kind === next.kind) {
    return { ...next, length: last.length + next.length };
  }
  if (!('first' in last && 'first' in next) || last.kind !== next.kind) return undefined;
  if (last.first + last.count !== next.first || qualifier(last) !== qualifier(next))
    return undefined;
  return { ...next, first: last.first, count: last.count + next.count };
}

/** What must be the same throughout a segment. */
function qualifier(segment: Segment): number {
  if (segment.kind === 'grains') return segment.codec;
  return 'copy' in segment ? segment.copy : 0;
}
