import { throwIfAborted } from '../../core/errors.ts';
import type { DiskRun } from '../../core/io/disk-run.ts';
import type { Source } from '../../core/io/source.ts';
import { mapInOrder } from '../../core/threads/map-in-order.ts';
import type { CodecContext } from '../codec.ts';
import { findCodecs } from './candidates.ts';
import type { CheckedGrain, PromisedGrain } from './check-grains.ts';
import { checkGrains } from './check-grains.ts';
import { describe, type GrainFindings } from './describe.ts';
import { maxGrainSpan } from './grain.ts';
import { SECTOR } from './header.ts';
import { readMetadata, type VmdkMetadata } from './metadata.ts';
import type { VmdkRecipe } from './recipe.ts';

/** Grains that go to a thread together: 1 MiB of the disk in the usual grains. */
const BATCH_GRAINS = 16;
const BATCH_BYTES = 2 << 20;

export interface VmdkDecoding {
  /** Bytes of the raw disk. */
  readonly size: number;
  /** The raw disk from start to end; to be run once. Each grain is inflated, deflated and compared. */
  disk(): AsyncGenerator<DiskRun>;
  /** The recipe that makes the VMDK from that disk; available once `disk` is done. */
  recipe(): Promise<VmdkRecipe>;
  /** Grains that nothing reproduced, and all there are; once `disk` is done. */
  readonly statistics: { readonly grains: number; readonly literalGrains: number };
}

/**
 * Opens a streamOptimized VMDK. Throws FormatError for a damaged one, UnsupportedError `VMDK_KIND`
 * for another kind; then, and where `recipe` throws UnsupportedError `VMDK_OPAQUE`, the file is
 * better taken as it is.
 */
export async function decodeVmdk(
  source: Source,
  { pool, signal }: CodecContext,
): Promise<VmdkDecoding> {
  const metadata = await readMetadata(source, signal);
  const { header, grains } = metadata;
  const grainBytes = header.grainSectors * SECTOR;
  const size = header.capacity * SECTOR;
  throwIfAborted(signal);
  const codecs = await findCodecs(source, metadata, pool);
  const findings: GrainFindings = {
    codecs,
    sectors: new Uint32Array(grains.length),
    codec: new Int8Array(grains.length).fill(-1),
    paddedTail: false,
  };
  let finished = false;

  async function* readBatches(): AsyncGenerator<Batch & { file: Uint8Array<ArrayBuffer> }> {
    for (const batch of batches(metadata)) {
      throwIfAborted(signal);
      const file = new Uint8Array(batch.length);
      await source.read(file, batch.position);
      yield { ...batch, file };
    }
  }

  async function check({ file, position, grains: promised, first }: BatchInMemory) {
    const { disk, grains: checked } = await pool.run(
      checkGrains,
      { name: source.name, position, file, grains: promised, grainBytes, candidates: codecs },
      [file.buffer],
    );
    return { disk, checked, promised, first };
  }

  function note(position: number, { span, candidate, padded }: CheckedGrain): void {
    findings.sectors[position] = span / SECTOR;
    findings.codec[position] = candidate;
    if (padded) findings.paddedTail = true;
  }

  return {
    size,
    async *disk() {
      let at = 0;
      for await (const done of mapInOrder(readBatches(), pool.depth, check)) {
        let taken = 0;
        for (const run of runs(done.promised)) {
          if (run.start > at) yield { kind: 'zeros', length: run.start - at };
          yield { kind: 'data', bytes: done.disk.subarray(taken, taken + run.length) };
          taken += run.length;
          at = run.start + run.length;
        }
        done.checked.forEach((grain, i) => {
          note(done.first + i, grain);
        });
      }
      if (size > at) yield { kind: 'zeros', length: size - at };
      finished = true;
    },
    recipe() {
      if (!finished) throw new RangeError('the disk was not read to its end');
      return describe(source, metadata, findings, signal);
    },
    get statistics() {
      const literalGrains = findings.codec.reduce((sum, codec) => sum + (codec < 0 ? 1 : 0), 0);
      return { grains: grains.length, literalGrains };
    },
  };
}

/** Grains that lie one after the other, both on the disk and in the file. */
interface Batch {
  /** Position of its first grain in `metadata.grains`. */
  readonly first: number;
  /** Bytes of the file. */
  readonly position: number;
  readonly length: number;
  readonly grains: readonly PromisedGrain[];
}
type BatchInMemory = Batch & { readonly file: Uint8Array<ArrayBuffer> };

function* batches({ header, grains, starts, limits }: VmdkMetadata): Generator<Batch> {
  const grainBytes = header.grainSectors * SECTOR;
  const longest = maxGrainSpan(grainBytes);
  let first = 0;
  let position = 0;
  let length = 0;
  let batch: PromisedGrain[] = [];
  for (const [i, grain] of grains.entries()) {
    const start = starts[i] ?? 0;
    const room = Math.min((limits[i] ?? 0) - start, longest);
    const adjacent = start === position + length;
    if (!adjacent || batch.length === BATCH_GRAINS || length + room > BATCH_BYTES) {
      if (batch.length > 0) yield { first, position, length, grains: batch };
      [first, position, length, batch] = [i, start, 0, []];
    }
    const lba = grain * header.grainSectors;
    const left = header.capacity * SECTOR - lba * SECTOR;
    batch.push({ start: length, room, lba, length: Math.min(grainBytes, left) });
    length += room;
  }
  if (batch.length > 0) yield { first, position, length, grains: batch };
}

/** Consecutive grains of the disk as one run, in bytes. */
function* runs(grains: readonly PromisedGrain[]): Generator<{ start: number; length: number }> {
  let start = 0;
  let length = 0;
  for (const grain of grains) {
    if (length > 0 && grain.lba * SECTOR !== start + length) {
      yield { start, length };
      length = 0;
    }
    if (length === 0) start = grain.lba * SECTOR;
    length += grain.length;
  }
  if (length > 0) yield { start, length };
}
