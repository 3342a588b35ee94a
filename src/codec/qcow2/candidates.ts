import { isDeepStrictEqual } from 'node:util';
import type { Source } from '../../io/source.ts';
import { LIBRARIES } from '../deflate/implementations.ts';
import type { DeflateParams } from '../deflate/params.ts';
import type { CodecPool } from '../workers/pool.ts';
import type { CheckClusters } from './check-clusters.ts';
import { clusterBytes } from './header.ts';
import { lengthOnDisk, type Qcow2Metadata } from './metadata.ts';

/** Clusters to try candidates on. */
const SAMPLES = 16;
/** How many codecs a cluster is tried with. */
const MAX_CODECS = 8;

/** qemu's block/qcow2-threads.c: raw deflate, window of 4 KiB, memLevel 9, the default level. */
const QEMU = { format: 'raw', level: 6, windowBits: 12, memLevel: 9, strategy: 0 } as const;

/**
 * What may have deflated the clusters of this image, best first. Behind what fits come its
 * neighbours: releases that differ in one cluster of a hundred cannot be told apart by a sample.
 * Empty if nothing that we carry reproduces any of it.
 */
export async function findCodecs(
  source: Source,
  metadata: Qcow2Metadata,
  pool: CodecPool,
): Promise<DeflateParams[]> {
  const samples = await readSamples(source, metadata);
  const scores: { readonly params: DeflateParams; readonly hits: number }[] = [];
  for (const params of candidates()) {
    let hits = 0;
    for (const sample of samples) {
      const { clusters } = await pool.run('checkClusters', { ...sample, candidates: [params] });
      if (clusters[0]?.candidate === 0) hits++;
    }
    if (hits > 0) scores.push({ params, hits });
    if (hits === samples.length) break;
    // Nothing of a level that is right in part is worth the others.
    if (scores.length > 0 && params.implementation === LIBRARIES.at(-1)) break;
  }
  scores.sort((a, b) => b.hits - a.hits);
  const [best] = scores;
  const neighbours = best
    ? LIBRARIES.map((implementation) => ({ ...best.params, implementation }))
    : [];
  const codecs: DeflateParams[] = [];
  for (const params of [...scores.map((score) => score.params), ...neighbours]) {
    if (!codecs.some((known) => isDeepStrictEqual(known, params))) codecs.push(params);
  }
  return codecs.slice(0, MAX_CODECS);
}

function* candidates(): Generator<DeflateParams> {
  for (const level of [6, 9, 1, 5, 4, 3, 2, 7, 8]) {
    for (const implementation of LIBRARIES) yield { ...QEMU, level, implementation };
  }
}

/** Compressed clusters spread over the image. */
async function readSamples(
  source: Source,
  { header, clusters }: Qcow2Metadata,
): Promise<Omit<CheckClusters['input'], 'candidates'>[]> {
  const size = clusterBytes(header);
  const compressed = clusters.filter((cluster) => cluster.compressed);
  // Those that do not deflate to next to nothing say more about the deflater.
  const telling = compressed.filter(({ start, limit }) => limit - start > size / 8);
  const from = telling.length >= SAMPLES ? telling : compressed;
  const count = Math.min(SAMPLES, from.length);
  const samples = [];
  for (let n = 0; n < count; n++) {
    const cluster = from[Math.floor((n * from.length) / count)];
    if (cluster === undefined) continue;
    const { number, start, limit } = cluster;
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
