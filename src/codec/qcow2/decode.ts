import { throwIfAborted } from '../../core/errors.ts';
import type { DiskRun } from '../../core/io/disk-run.ts';
import type { FilePiece } from '../../core/io/hash-file.ts';
import type { Source } from '../../core/io/source.ts';
import { mapInOrder } from '../../core/threads/map-in-order.ts';
import type { CodecContext } from '../codec.ts';
import { BATCH_BYTES } from '../segments/write.ts';
import { findCodecs } from './candidates.ts';
import type { CheckedCluster } from './check-clusters.ts';
import { checkClusters } from './check-clusters.ts';
import { describe, type Findings } from './describe.ts';
import { clusterBytes } from './header.ts';
import { type AllocatedCluster, lengthOnDisk, readMetadata } from './metadata.ts';
import type { Qcow2Recipe } from './recipe.ts';

export interface Qcow2Decoding {
  /** Bytes of the raw disk. */
  readonly size: number;
  /** The raw disk from start to end; to be run once. */
  disk(): AsyncGenerator<DiskRun>;
  /** Where that lies in the file, if none of it is compressed. */
  readonly pieces: (() => Generator<FilePiece>) | undefined;
  /** The recipe that makes the qcow2 from that disk; available once `disk` is done. */
  recipe(): Promise<Qcow2Recipe>;
  /** Compressed clusters that nothing reproduced, and all there are; once `disk` is done. */
  readonly statistics: { readonly clusters: number; readonly literalClusters: number };
}

/**
 * Opens a qcow2 as `qemu-img convert` writes it. Throws FormatError for a damaged one, UnsupportedError
 * for another kind; then, and where `recipe` throws UnsupportedError `QCOW2_OPAQUE`, the file is better
 * taken as it is.
 */
export async function decodeQcow2(
  source: Source,
  { pool, signal }: CodecContext,
): Promise<Qcow2Decoding> {
  const metadata = await readMetadata(source, signal);
  const { header, clusters } = metadata;
  const size = clusterBytes(header);
  const codecs = await findCodecs(source, metadata, pool);
  const findings: Findings = {
    codecs,
    lengths: new Uint32Array(clusters.length),
    codec: new Int8Array(clusters.length).fill(-1),
  };
  let finished = false;

  /** Neighbours in the file, of one kind. */
  function* batches(): Generator<Batch> {
    const atOnce = Math.max(1, Math.floor(BATCH_BYTES / size));
    for (let first = 0; first < clusters.length; ) {
      const head = clusters[first];
      if (head === undefined) return;
      let end = first + 1;
      for (; end < clusters.length && end - first < atOnce; end++) {
        const [last, next] = [clusters[end - 1], clusters[end]];
        if (next === undefined || next.compressed !== head.compressed) break;
        if (last?.limit !== next.start) break;
      }
      yield { first, clusters: clusters.slice(first, end) };
      first = end;
    }
  }

  async function* readBatches(): AsyncGenerator<BatchInMemory> {
    for (const batch of batches()) {
      throwIfAborted(signal);
      const start = batch.clusters[0]?.start ?? 0;
      const file = new Uint8Array((batch.clusters.at(-1)?.limit ?? 0) - start);
      await source.read(file, start);
      yield { ...batch, position: start, file };
    }
  }

  async function check({ file, position, clusters: batch, first }: BatchInMemory): Promise<Raw> {
    const lengths = batch.map(({ number }) => lengthOnDisk(header, number));
    if (batch[0]?.compressed !== true) return { disk: file, batch, first, lengths, checked: [] };
    const { disk, clusters: checked } = await pool.run(
      checkClusters,
      {
        name: source.name,
        position,
        file,
        clusters: batch.map(({ start, limit }, i) => ({
          start: start - position,
          room: limit - start,
          length: lengths[i] ?? size,
        })),
        clusterBytes: size,
        candidates: codecs,
      },
      [file.buffer],
    );
    return { disk, batch, first, lengths, checked };
  }

  function* pieces(): Generator<FilePiece> {
    let at = 0;
    let [start, length] = [0, 0];
    for (const cluster of clusters) {
      const position = cluster.number * size;
      if (position > at || cluster.start !== start + length) {
        if (length > 0) yield { kind: 'stored', start, length };
        if (position > at) yield { kind: 'zeros', length: position - at };
        [start, length] = [cluster.start, 0];
      }
      const onDisk = lengthOnDisk(header, cluster.number);
      length += onDisk;
      at = position + onDisk;
    }
    if (length > 0) yield { kind: 'stored', start, length };
    if (header.diskSize > at) yield { kind: 'zeros', length: header.diskSize - at };
  }

  return {
    size: header.diskSize,
    pieces: clusters.some(({ compressed }) => compressed) ? undefined : pieces,
    async *disk() {
      let at = 0;
      for await (const { disk, batch, first, lengths, checked } of mapInOrder(
        readBatches(),
        pool.depth,
        check,
      )) {
        let taken = 0;
        for (const [i, { number }] of batch.entries()) {
          const start = number * size;
          if (start > at) yield { kind: 'zeros', length: start - at };
          const length = lengths[i] ?? size;
          yield { kind: 'data', bytes: disk.subarray(taken, taken + length) };
          taken += length;
          at = start + length;
        }
        for (const [i, { candidate, length }] of checked.entries()) {
          findings.codec[first + i] = candidate;
          findings.lengths[first + i] = length;
        }
      }
      if (header.diskSize > at) yield { kind: 'zeros', length: header.diskSize - at };
      finished = true;
    },
    recipe() {
      if (!finished) throw new RangeError('the disk was not read to its end');
      return describe(source, metadata, findings, signal);
    },
    get statistics() {
      const compressed = clusters.filter((cluster) => cluster.compressed).length;
      const found = findings.codec.reduce((sum, codec) => sum + (codec < 0 ? 0 : 1), 0);
      return { clusters: compressed, literalClusters: compressed - found };
    },
  };
}

interface Batch {
  /** Position of its first in `metadata.clusters`. */
  readonly first: number;
  readonly clusters: readonly AllocatedCluster[];
}
interface BatchInMemory extends Batch {
  /** Where `file` is in the qcow2. */
  readonly position: number;
  readonly file: Uint8Array<ArrayBuffer>;
}
interface Raw {
  readonly disk: Uint8Array;
  readonly batch: readonly AllocatedCluster[];
  readonly first: number;
  /** Bytes on the disk. */
  readonly lengths: readonly number[];
  /** Of compressed ones. */
  readonly checked: readonly CheckedCluster[];
}
