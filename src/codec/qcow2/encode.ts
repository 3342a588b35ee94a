import { throwIfAborted } from '../../core/errors.ts';
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
import { clusterBytes } from './header.ts';
import { computeLayout, type Layout } from './layout.ts';
import { type PackClusters, packClusters } from './pack-clusters.ts';
import type { Qcow2Recipe, Segment } from './recipe.ts';

/**
 * Writes the qcow2 of `recipe` front to back, reading the disk front to back. Throws FormatError for a an
 * invalid recipe, IntegrityError `QCOW2_OTHER_DISK` if the lengths show that the recipe is for another disk
 * (the caller checks the hash).
 */
export async function encodeQcow2(
  recipe: Qcow2Recipe,
  disk: DiskReader,
  sink: Sink,
  context: CodecContext,
): Promise<void> {
  const layout = computeLayout(recipe);
  const read = orderedReader(
    disk,
    { size: clusterBytes(recipe), diskSize: recipe.diskSize },
    layout.ascending,
  );
  const plan: Plan = { recipe, layout, read, signal: context.signal, spare: [] };
  await writeSteps(steps(plan), (step) => carryOut(step, context.pool), plan.spare, sink, context);
}

/** Like {@link encodeQcow2}, for a disk that is written into the returned sink. */
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
  readonly spare: Buf[];
}

type Step =
  | Piece
  | {
      readonly kind: 'deflate';
      readonly input: PackClusters['input'];
      /** Bytes in the file that each must come to. */
      readonly lengths: Uint32Array;
      readonly first: number;
    };

async function* steps(plan: Plan): AsyncGenerator<Step> {
  const { recipe, layout, signal } = plan;
  const literal = literalTaker(recipe.literals);
  const lengths = sizeTaker(recipe.lengths);
  for (const segment of recipe.segments) {
    throwIfAborted(signal);
    switch (segment.kind) {
      case 'literal':
        yield { kind: 'bytes', bytes: literal(segment.length) };
        break;
      case 'zeros':
        yield { kind: 'zeros', length: segment.length };
        break;
      case 'table':
        yield { kind: 'bytes', bytes: layout.table(segment.index) };
        break;
      case 'clusters':
        for await (const { bytes, buffer } of readClusters(plan, segment)) {
          yield { kind: 'bytes', bytes, buffer };
        }
        break;
      case 'deflated':
        yield* deflate(plan, segment, lengths(segment.count));
        break;
      case 'literal-deflated': {
        const length = lengths(segment.count).reduce((sum, each) => sum + each, 0);
        yield { kind: 'bytes', bytes: literal(length) };
        break;
      }
    }
  }
}

async function* deflate(
  plan: Plan,
  segment: Segment & { kind: 'deflated' },
  lengths: Uint32Array,
): AsyncGenerator<Step> {
  const { recipe } = plan;
  const params = recipe.codecs[segment.codec];
  if (params === undefined) throw new RangeError(`no codec ${segment.codec}`);
  const next = sizeTaker(lengths);
  for await (const { bytes, first, count } of readClusters(plan, segment)) {
    const input = { disk: bytes, clusterBytes: clusterBytes(recipe), params };
    yield { kind: 'deflate', input, lengths: next(count), first };
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

async function carryOut(step: Step, pool: CodecPool): Promise<Piece> {
  if (step.kind !== 'deflate') return step;
  const { input, lengths, first } = step;
  const made = await pool.run(packClusters, input, [input.disk.buffer]);
  for (const [i, actual] of made.lengths.entries()) {
    if (actual === lengths[i]) continue;
    const context = { cluster: first + i, expected: lengths[i], actual };
    throw otherPayload('a cluster', 'QCOW2_OTHER_DISK', context);
  }
  return { kind: 'bytes', bytes: made.bytes, buffer: new Uint8Array(made.disk.buffer) };
}
