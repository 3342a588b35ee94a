import { isDeepStrictEqual } from 'node:util';
import { LIBRARIES } from './implementations.ts';
import type { DeflateParams } from './params.ts';

/** Pieces to try candidates on: enough to tell neighbours among the levels and releases apart. */
const SAMPLES = 16;
/** How many codecs a piece is tried with. */
const MAX_CODECS = 8;

/** Pieces spread over the image: those that say more about the deflater, others if there are too few. */
export function chooseSamples<T>(all: readonly T[], telling: readonly T[]): T[] {
  const chosen = new Set(spread(telling, SAMPLES));
  for (const one of spread(all, SAMPLES)) if (chosen.size < SAMPLES) chosen.add(one);
  return [...chosen];
}

function spread<T>(from: readonly T[], most: number): T[] {
  const count = Math.min(most, from.length);
  return Array.from({ length: count }, (_, n) => Math.floor((n * from.length) / count)).flatMap(
    (at) => from.slice(at, at + 1),
  );
}

/**
 * The likely deflaters of an image's pieces, best first, found by trying them on samples. Neighbours follow
 * the best matches, because a sample cannot distinguish releases that rarely differ. Empty if no known
 * deflater reproduces any piece.
 *
 * @param groups candidates, likeliest first; once one of a group is right about most samples, no other group
 *   is tried
 */
export async function rankDeflaters<S>(
  groups: Iterable<readonly DeflateParams[]>,
  samples: readonly S[],
  reproduces: (params: DeflateParams, sample: S) => Promise<boolean>,
): Promise<DeflateParams[]> {
  const scores: { readonly params: DeflateParams; readonly hits: number }[] = [];
  search: for (const group of groups) {
    for (const params of group) {
      let hits = 0;
      for (const sample of samples) if (await reproduces(params, sample)) hits++;
      if (hits > 0) scores.push({ params, hits });
      if (hits === samples.length) break search;
    }
    if (scores.some(({ hits }) => 2 * hits >= samples.length)) break;
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
