import { IntegrityError, throwIfAborted } from '../../errors.ts';
import type { Sink } from '../../io/sink.ts';
import type { CodecContext, Encoder } from '../codec.ts';
import { type DiskReader, sequentialDisk } from '../sequential-disk.ts';
import { mapInOrder } from '../workers/map-in-order.ts';
import type { CodecPool } from '../workers/pool.ts';
import type { TaskInput } from '../workers/tasks.ts';
import { clusterBytes } from './header.ts';
import { computeLayout, type Layout } from './layout.ts';
import { orderedReader } from './ordered-reader.ts';
import type { Qcow2Recipe, Segment } from './recipe.ts';

/** Raw bytes that are read, or go to a thread, together. */
const BATCH_BYTES = 1 << 20;

/**
 * Writes the qcow2 of `recipe` front to back, reading the disk front to back. Throws FormatError for a
 * recipe that makes no sense, IntegrityError `QCOW2_OTHER_DISK` if the disk is not the one that the
 * recipe was made with (as far as the lengths tell: the caller checks the hash).
 */
export async function encodeQcow2(
  recipe: Qcow2Recipe,
  disk: DiskReader,
  sink: Sink,
  { pool, signal }: CodecContext,
): Promise<void> {
  const layout = computeLayout(recipe);
  const read = orderedReader(disk, recipe, layout.ascending);
  const plan: Plan = { recipe, layout, read, signal, spare: [] };
  for await (const done of mapInOrder(steps(plan), pool.depth, (step) => carryOut(step, pool))) {
    throwIfAborted(signal);
    if (done.kind === 'zeros') await sink.zeros(done.length);
    else await sink.write(done.bytes);
    if (done.kind === 'made') plan.spare.push(done.buffer);
  }
}

/** As {@link encodeQcow2}, for a disk that is written into the returned sink. */
export function qcow2Encoder(recipe: Qcow2Recipe, sink: Sink, context: CodecContext): Encoder {
  return sequentialDisk(recipe.diskSize, (disk) => encodeQcow2(recipe, disk, sink, context));
}

interface Plan {
  readonly recipe: Qcow2Recipe;
  readonly layout: Layout;
  /** Fills `target` with a cluster. */
  readonly read: (number: number, target: Uint8Array) => Promise<void>;
  readonly signal: AbortSignal | undefined;
  /** Buffers to be used again. */
  readonly spare: Uint8Array<ArrayBuffer>[];
}

type Step =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'zeros'; readonly length: number }
  /** Clusters of the disk, in `buffer`. */
  | { readonly kind: 'made'; readonly bytes: Uint8Array; readonly buffer: Buf }
  | {
      readonly kind: 'deflate';
      readonly input: TaskInput<'packClusters'>;
      /** Bytes in the file that each must come to. */
      readonly lengths: Uint32Array;
      readonly first: number;
      readonly buffer: Buf;
    };
type Buf = Uint8Array<ArrayBuffer>;
type Done = Exclude<Step, { kind: 'deflate' }>;

async function* steps(plan: Plan): AsyncGenerator<Step> {
  const { recipe, layout, signal } = plan;
  let literal = 0;
  let compressed = 0;
  const take = (length: number): Step => {
    literal += length;
    return { kind: 'bytes', bytes: recipe.literals.subarray(literal - length, literal) };
  };
  for (const segment of recipe.segments) {
    throwIfAborted(signal);
    switch (segment.kind) {
      case 'literal':
        yield take(segment.length);
        break;
      case 'zeros':
        yield segment;
        break;
      case 'table':
        yield { kind: 'bytes', bytes: layout.table(segment.index) };
        break;
      case 'clusters':
        for await (const { bytes, buffer } of readClusters(plan, segment)) {
          yield { kind: 'made', bytes, buffer };
        }
        break;
      case 'deflated':
        yield* deflate(plan, segment, compressed);
        compressed += segment.count;
        break;
      case 'literal-deflated': {
        const lengths = recipe.lengths.subarray(compressed, compressed + segment.count);
        yield take(lengths.reduce((sum, length) => sum + length, 0));
        compressed += segment.count;
        break;
      }
    }
  }
}

async function* deflate(
  plan: Plan,
  segment: Segment & { kind: 'deflated' },
  compressed: number,
): AsyncGenerator<Step> {
  const { recipe } = plan;
  const params = recipe.codecs[segment.codec];
  if (params === undefined) throw new RangeError(`no codec ${segment.codec}`);
  let at = compressed;
  for await (const { bytes, buffer, first, count } of readClusters(plan, segment)) {
    const input = { disk: bytes, clusterBytes: clusterBytes(recipe), params };
    yield {
      kind: 'deflate',
      input,
      lengths: recipe.lengths.subarray(at, at + count),
      first,
      buffer,
    };
    at += count;
  }
}

/** Whole clusters, the last one filled up with zeros. */
async function* readClusters(
  { recipe, read, signal, spare }: Plan,
  segment: { readonly first: number; readonly count: number },
) {
  const size = clusterBytes(recipe);
  const atOnce = Math.max(1, Math.floor(BATCH_BYTES / size));
  for (let done = 0; done < segment.count; done += atOnce) {
    throwIfAborted(signal);
    const count = Math.min(atOnce, segment.count - done);
    const first = segment.first + done;
    const buffer = spare.pop() ?? new Uint8Array(atOnce * size);
    const bytes = buffer.subarray(0, count * size);
    for (let i = 0; i < count; i++) {
      await read(first + i, bytes.subarray(i * size, (i + 1) * size));
    }
    yield { bytes, buffer, first, count };
  }
}

async function carryOut(step: Step, pool: CodecPool): Promise<Done> {
  if (step.kind !== 'deflate') return step;
  const { input, lengths, first } = step;
  const made = await pool.run('packClusters', input, [input.disk.buffer]);
  for (const [i, actual] of made.lengths.entries()) {
    if (actual === lengths[i]) continue;
    throw new IntegrityError('a cluster has another size now: this is not the disk of the recipe', {
      code: 'QCOW2_OTHER_DISK',
      context: { cluster: first + i, expected: lengths[i], actual },
      hint: 'the delta or its base is damaged; fetch the bundle again and use --no-cache',
    });
  }
  return { kind: 'made', bytes: made.bytes, buffer: new Uint8Array(made.disk.buffer) };
}
