import { throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import type { Sink } from '../../core/io/sink.ts';
import type { CodecContext, Encoder } from '../codec.ts';
import { orderedReader } from '../ordered-reader.ts';
import type { CodecPool } from '../pool.ts';
import {
  BATCH_BYTES,
  type Buf,
  literalTaker,
  otherPayload,
  type Piece,
  sizeTaker,
  writeSteps,
} from '../segments/write.ts';
import { type DiskReader, sequentialDisk } from '../sequential-disk.ts';
import { SECTOR } from './header.ts';
import { computeLayout, diskSize, type Layout } from './layout.ts';
import { type PackGrains, packGrains, packRoom } from './pack-grains.ts';
import type { Segment, VmdkRecipe } from './recipe.ts';

const TABLES_AT_ONCE = 256;

/**
 * Writes the VMDK of `recipe` from its raw disk, front to back. `disk` is read grain by grain in file
 * order. Throws FormatError for an invalid recipe, IntegrityError `VMDK_OTHER_DISK` if the sizes show that
 * the recipe is for another disk (the caller checks the hash).
 */
export async function encodeVmdk(
  recipe: VmdkRecipe,
  disk: DiskReader,
  sink: Sink,
  context: CodecContext,
): Promise<void> {
  const { pool, signal } = context;
  const layout = computeLayout(recipe);
  const size = recipe.grainSectors * SECTOR;
  const ordered =
    layout.reordered && orderedReader(disk, { size, diskSize: diskSize(recipe) }, layout.reordered);
  const plan: Plan = { recipe, layout, disk, ordered, signal, spare: [] };
  await writeSteps(planSteps(plan), (step) => carryOut(step, pool), plan.spare, sink, context);
}

/** Whether {@link vmdkEncoder} can write it. qemu-img's files all are, and those of writers with threads. */
export function isSequential(recipe: VmdkRecipe): boolean {
  return computeLayout(recipe).sequential;
}

/**
 * As {@link encodeVmdk}, for a raw disk that is written into the returned sink from start to end,
 * such as a delta's output: needs no temporary file. Throws UnsupportedError `VMDK_GRAIN_ORDER`
 * unless {@link isSequential}.
 */
export function vmdkEncoder(recipe: VmdkRecipe, sink: Sink, context: CodecContext): Encoder {
  if (!isSequential(recipe)) {
    throw new UnsupportedError('this VMDK stores its grains in a different order from its disk', {
      code: 'VMDK_GRAIN_ORDER',
      hint: 'regenerate the raw disk into a temporary file first',
    });
  }
  return sequentialDisk(diskSize(recipe), (disk) => encodeVmdk(recipe, disk, sink, context));
}

interface Plan {
  readonly recipe: VmdkRecipe;
  readonly layout: Layout;
  readonly disk: DiskReader;
  /** Fills `target` with a grain, where the file has them in another order than the disk. */
  readonly ordered: ((number: number, target: Uint8Array) => Promise<void>) | undefined;
  readonly signal: AbortSignal | undefined;
  /** Buffers for grains, to be used again. */
  readonly spare: Buf[];
}

type Step =
  | Piece
  | {
      readonly kind: 'grains';
      readonly input: PackGrains['input'];
      /** Of the file, that each must come to. */
      readonly sectors: Uint32Array;
    };

/** Walks the segments, reading the disk as it goes. */
async function* planSteps(plan: Plan): AsyncGenerator<Step> {
  const { recipe, layout, signal } = plan;
  const take = literalTaker(recipe.literals);
  const sectors = sizeTaker(recipe.sectors);
  const literal = (length: number): Piece => ({ kind: 'bytes', bytes: take(length) });
  for (const segment of recipe.segments) {
    throwIfAborted(signal);
    switch (segment.kind) {
      case 'literal':
        yield literal(segment.length);
        break;
      case 'zeros':
        yield { kind: 'zeros', length: segment.length };
        break;
      case 'directory':
        yield { kind: 'bytes', bytes: layout.directory(segment.copy) };
        break;
      case 'tables':
        for (let done = 0; done < segment.count; done += TABLES_AT_ONCE) {
          const count = Math.min(TABLES_AT_ONCE, segment.count - done);
          yield { kind: 'bytes', bytes: layout.tables(segment.first + done, count) };
        }
        break;
      case 'literal-tables':
        yield literal(segment.count * recipe.gtesPerTable * 4);
        break;
      case 'literal-grains':
        yield literal(sectors(segment.count).reduce((sum, count) => sum + count, 0) * SECTOR);
        break;
      case 'grains':
        yield* readGrains(plan, segment, sectors(segment.count));
        break;
    }
  }
}

async function* readGrains(
  { recipe, disk, ordered, signal, spare }: Plan,
  segment: Segment & { kind: 'grains' },
  sectors: Uint32Array,
): AsyncGenerator<Step> {
  const params = recipe.codecs[segment.codec];
  if (params === undefined) throw new RangeError(`no codec ${segment.codec}`);
  const grainBytes = recipe.grainSectors * SECTOR;
  const next = sizeTaker(sectors);
  const atOnce = Math.max(1, Math.floor(BATCH_BYTES / grainBytes));
  for (let done = 0; done < segment.count; done += atOnce) {
    throwIfAborted(signal);
    const count = Math.min(atOnce, segment.count - done);
    const start = (segment.first + done) * grainBytes;
    const length = Math.min(count * grainBytes, diskSize(recipe) - start);
    const rawLength = recipe.paddedTail ? count * grainBytes : length;
    const buffer = spare.pop() ?? new Uint8Array(packRoom(atOnce, grainBytes));
    const raw = buffer.subarray(buffer.length - rawLength);
    if (ordered) {
      for (let i = 0; i < count; i++) {
        await ordered(segment.first + done + i, raw.subarray(i * grainBytes, (i + 1) * grainBytes));
      }
    } else {
      await disk.read(raw.subarray(0, length), start);
      raw.fill(0, length);
    }
    const grains = Array.from({ length: count }, (_, i) => ({
      lba: (segment.first + done + i) * recipe.grainSectors,
      length: Math.min(grainBytes, rawLength - i * grainBytes),
    }));
    yield { kind: 'grains', input: { buffer, grains, params }, sectors: next(count) };
  }
}

async function carryOut(step: Step, pool: CodecPool): Promise<Piece> {
  if (step.kind !== 'grains') return step;
  const { input, sectors } = step;
  const { buffer, spans } = await pool.run(packGrains, input, [input.buffer.buffer]);
  let length = 0;
  for (const [i, actual] of spans.entries()) {
    const expected = (sectors[i] ?? 0) * SECTOR;
    length += actual;
    if (actual === expected) continue;
    const context = { lba: input.grains[i]?.lba, expected, actual };
    throw otherPayload('a grain', 'VMDK_OTHER_DISK', context);
  }
  return { kind: 'bytes', bytes: buffer.subarray(0, length), buffer };
}
