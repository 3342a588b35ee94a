import { UnsupportedError } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import type { DeflateParams } from '../deflate/params.ts';
import { describeWithTables, segmentDraft } from '../segments/draft.ts';
import { SECTOR } from './header.ts';
import { computeLayout } from './layout.ts';
import type { Structure, VmdkMetadata } from './metadata.ts';
import type { Segment, VmdkRecipe } from './recipe.ts';

/** The results of checking the grains, by position in `metadata.grains`. */
export interface GrainFindings {
  readonly codecs: readonly DeflateParams[];
  /** Sectors that each takes in the file. */
  readonly sectors: Uint32Array;
  /** Index into `codecs`, -1 for a grain that none reproduces. */
  readonly codec: Int8Array;
  paddedTail: boolean;
}

const MAX_LITERALS = 16 << 20;

/** Describes the file front to back. Reads only metadata, and grains that no deflater reproduces. */
export function describe(
  source: Source,
  metadata: VmdkMetadata,
  findings: GrainFindings,
  signal: AbortSignal | undefined,
): Promise<VmdkRecipe> {
  return describeWithTables(
    source,
    metadata.structures,
    (asLiteral) => describeWith(source, metadata, findings, asLiteral, signal),
    (recipe) => {
      const layout = computeLayout(recipe);
      return ({ kind, copy, index }) =>
        kind === 'directory' ? layout.directory(copy) : layout.tables(index, 1);
    },
  );
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
  const draft = segmentDraft<Segment>({
    ...{ source, grid: SECTOR, maxLiterals: MAX_LITERALS, signal },
    tooMuch: () =>
      new UnsupportedError(`${source.name}: too little of it can be reproduced`, {
        code: 'VMDK_OPAQUE',
        context: { file: source.name, limit: MAX_LITERALS },
        hint: 'this version does not have its deflater; use the file without the codec',
      }),
  });

  let at = 0;
  let next = 0; // in structures
  async function describeStructures(before: number): Promise<void> {
    for (; ; next++) {
      const structure = structures[next];
      if (structure === undefined || structure.start >= before) return;
      await draft.gap(at, structure.start);
      at = structure.start + structure.length;
      const { kind, copy, index } = structure;
      const literal = asLiteral.has(structure);
      if (kind === 'table') {
        const found = literal ? 'literal-tables' : 'tables';
        draft.add({ kind: found, copy, first: index, count: 1 });
        if (literal) await draft.keep(structure.start, structure.length);
      } else if (literal) {
        await draft.gap(structure.start, at);
      } else {
        draft.add({ kind, copy });
      }
    }
  }

  for (const position of fileOrder) {
    const start = starts[position] ?? 0;
    await describeStructures(start);
    await draft.gap(at, start);
    const first = grains[position] ?? 0;
    const found = codec[position] ?? -1;
    at = start + (sectors[position] ?? 0) * SECTOR;
    if (found >= 0) {
      draft.add({ kind: 'grains', first, count: 1, codec: used.indexOf(found) });
    } else {
      draft.add({ kind: 'literal-grains', first, count: 1 });
      await draft.keep(start, at - start);
    }
  }
  await describeStructures(source.size);
  await draft.gap(at, source.size);

  return {
    fileSize: source.size,
    capacity: header.capacity,
    grainSectors: header.grainSectors,
    gtesPerTable: header.gtesPerTable,
    paddedTail,
    codecs: codecs.filter((_, i) => used.includes(i)),
    segments: draft.segments,
    sectors: Uint32Array.from(fileOrder, (position) => sectors[position] ?? 0),
    literals: draft.literals(),
  };
}
