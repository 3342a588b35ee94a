import { IntegrityError, throwIfAborted, UnsupportedError } from '../../errors.ts';
import type { Sink } from '../../io/sink.ts';
import { type DiskReader, sequentialDisk } from '../sequential-disk.ts';
import { mapInOrder } from '../workers/map-in-order.ts';
import type { CodecPool } from '../workers/pool.ts';
import type { TaskInput } from '../workers/tasks.ts';
import { SECTOR } from './header.ts';
import { computeLayout, diskSize, type Layout } from './layout.ts';
import { packRoom } from './pack-grains.ts';
import type { Segment, VmdkRecipe } from './recipe.ts';

/** Bytes of raw grains that go to a thread together. */
const BATCH_BYTES = 1 << 20;
const TABLES_AT_ONCE = 256;

export interface EncodeOptions {
  readonly pool: CodecPool;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes the VMDK of `recipe` from its raw disk, front to back. `disk` is read grain by grain in file
 * order. Throws FormatError for a recipe that makes no sense, IntegrityError `VMDK_OTHER_DISK` if
 * the disk is not the one that the recipe was made with (as far as the sizes tell: the caller checks
 * the hash).
 */
export async function encodeVmdk(
  recipe: VmdkRecipe,
  disk: DiskReader,
  sink: Sink,
  { pool, signal }: EncodeOptions,
): Promise<void> {
  const plan: Plan = { recipe, layout: computeLayout(recipe), disk, signal, spare: [] };
  const steps = planSteps(plan);
  for await (const done of mapInOrder(steps, pool.depth, (step) => carryOut(step, pool))) {
    throwIfAborted(signal);
    if (done.kind === 'zeros') await sink.zeros(done.length);
    else await sink.write(done.bytes);
    if (done.kind === 'packed') plan.spare.push(done.buffer);
  }
}

/** Whether {@link vmdkEncoder} can write it. qemu-img's files all are. */
export function isSequential(recipe: VmdkRecipe): boolean {
  return computeLayout(recipe).ascending;
}

/**
 * As {@link encodeVmdk}, for a raw disk that is written into the returned sink from start to end,
 * such as a delta's output: needs no temporary file. Call `finish` after the last byte, or
 * `abort`. Throws UnsupportedError `VMDK_GRAIN_ORDER` unless {@link isSequential}.
 */
export function vmdkEncoder(
  recipe: VmdkRecipe,
  sink: Sink,
  options: EncodeOptions,
): Sink & { finish(): Promise<void>; abort(reason: unknown): Promise<void> } {
  if (!isSequential(recipe)) {
    throw new UnsupportedError('this VMDK holds its grains in another order than its disk', {
      code: 'VMDK_GRAIN_ORDER',
      hint: 'regenerate the raw disk into a temporary file first',
    });
  }
  return sequentialDisk(diskSize(recipe), (disk) => encodeVmdk(recipe, disk, sink, options));
}

interface Plan {
  readonly recipe: VmdkRecipe;
  readonly layout: Layout;
  readonly disk: DiskReader;
  readonly signal: AbortSignal | undefined;
  /** Buffers for grains, to be used again: this is where nearly all memory would go. */
  readonly spare: Uint8Array<ArrayBuffer>[];
}

type Step =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'zeros'; readonly length: number }
  | {
      readonly kind: 'grains';
      readonly input: TaskInput<'packGrains'>;
      /** Bytes in the file that each must come to. */
      readonly spans: readonly number[];
    };

type Done =
  | Exclude<Step, { kind: 'grains' }>
  | {
      readonly kind: 'packed';
      readonly bytes: Uint8Array;
      readonly buffer: Uint8Array<ArrayBuffer>;
    };

/** Walks the segments, reading the disk as it goes. */
async function* planSteps(plan: Plan): AsyncGenerator<Step> {
  const { recipe, layout, signal } = plan;
  let literal = 0;
  let grain = 0;
  const takeLiterals = (length: number): Step => {
    literal += length;
    return { kind: 'bytes', bytes: recipe.literals.subarray(literal - length, literal) };
  };
  for (const segment of recipe.segments) {
    throwIfAborted(signal);
    switch (segment.kind) {
      case 'literal':
        yield takeLiterals(segment.length);
        break;
      case 'zeros':
        yield segment;
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
        yield takeLiterals(segment.count * recipe.gtesPerTable * 4);
        break;
      case 'literal-grains': {
        const sectors = recipe.sectors.subarray(grain, grain + segment.count);
        yield takeLiterals(sectors.reduce((sum, count) => sum + count, 0) * SECTOR);
        grain += segment.count;
        break;
      }
      case 'grains':
        yield* readGrains(plan, segment, grain);
        grain += segment.count;
        break;
    }
  }
}

async function* readGrains(
  { recipe, disk, signal, spare }: Plan,
  segment: Segment & { kind: 'grains' },
  firstInFile: number,
): AsyncGenerator<Step> {
  const params = recipe.codecs[segment.codec];
  if (params === undefined) throw new RangeError(`no codec ${segment.codec}`);
  const grainBytes = recipe.grainSectors * SECTOR;
  const atOnce = Math.max(1, Math.floor(BATCH_BYTES / grainBytes));
  for (let done = 0; done < segment.count; done += atOnce) {
    throwIfAborted(signal);
    const count = Math.min(atOnce, segment.count - done);
    const start = (segment.first + done) * grainBytes;
    const length = Math.min(count * grainBytes, diskSize(recipe) - start);
    const rawLength = recipe.paddedTail ? count * grainBytes : length;
    const buffer = spare.pop() ?? new Uint8Array(packRoom(atOnce, grainBytes));
    const raw = buffer.subarray(buffer.length - rawLength);
    await disk.read(raw.subarray(0, length), start);
    raw.fill(0, length);
    const grains = Array.from({ length: count }, (_, i) => ({
      lba: (segment.first + done + i) * recipe.grainSectors,
      length: Math.min(grainBytes, rawLength - i * grainBytes),
    }));
    const inFile = recipe.sectors.subarray(firstInFile + done, firstInFile + done + count);
    const spans = Array.from(inFile, (sectors) => sectors * SECTOR);
    yield { kind: 'grains', input: { buffer, grains, params }, spans };
  }
}

async function carryOut(step: Step, pool: CodecPool): Promise<Done> {
  if (step.kind !== 'grains') return step;
  const { input, spans } = step;
  const { buffer, spans: actual } = await pool.run('packGrains', input, [input.buffer.buffer]);
  let length = 0;
  for (const [i, span] of actual.entries()) {
    length += span;
    if (span === spans[i]) continue;
    throw new IntegrityError('a grain has another size now: this is not the disk of the recipe', {
      code: 'VMDK_OTHER_DISK',
      context: { lba: input.grains[i]?.lba, expected: spans[i], actual: span },
      hint: 'the delta or its base is damaged; fetch the bundle again and use --no-cache',
    });
  }
  return { kind: 'packed', bytes: buffer.subarray(0, length), buffer };
}
