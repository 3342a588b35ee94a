import type { Source } from '../../core/io/source.ts';
import { LIBRARIES } from '../deflate/implementations.ts';
import type { DeflateParams } from '../deflate/params.ts';
import { chooseSamples, rankDeflaters } from '../deflate/rank.ts';
import type { CodecPool } from '../pool.ts';
import type { CheckClusters } from './check-clusters.ts';
import { checkClusters } from './check-clusters.ts';
import { clusterBytes } from './header.ts';
import { lengthOnDisk, type Qcow2Metadata } from './metadata.ts';

/** qemu's block/qcow2-threads.c: raw deflate, window of 4 KiB, memLevel 9, the default level. */
const QEMU = { format: 'raw', level: 6, windowBits: 12, memLevel: 9, strategy: 0 } as const;

/** Deflaters that may have made the clusters of this image, best first; see {@link rankDeflaters}. */
export async function findCodecs(
  source: Source,
  metadata: Qcow2Metadata,
  pool: CodecPool,
): Promise<DeflateParams[]> {
  const samples = await readSamples(source, metadata);
  return rankDeflaters(candidates(), samples, async (params, sample) => {
    const { clusters } = await pool.run(checkClusters, { ...sample, candidates: [params] });
    return clusters[0]?.candidate === 0;
  });
}

function* candidates(): Generator<DeflateParams[]> {
  for (const level of [6, 9, 1, 5, 4, 3, 2, 7, 8]) {
    yield LIBRARIES.map((implementation) => ({ ...QEMU, level, implementation }));
  }
}

async function readSamples(
  source: Source,
  { header, clusters }: Qcow2Metadata,
): Promise<Omit<CheckClusters['input'], 'candidates'>[]> {
  const size = clusterBytes(header);
  const compressed = clusters.filter((cluster) => cluster.compressed);
  // Those that do not deflate to next to nothing say more about the deflater.
  const telling = compressed.filter(({ start, limit }) => limit - start > size / 8);
  const samples = [];
  for (const { number, start, limit } of chooseSamples(compressed, telling)) {
    const file = new Uint8Array(limit - start);
    await source.read(file, start);
    samples.push({
      name: source.name,
      position: start,
      file,
      clusters: [{ start: 0, room: file.length, length: lengthOnDisk(header, number) }],
      clusterBytes: size,
    });
  }
  return samples;
}
