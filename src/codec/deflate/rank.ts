import { isDeepStrictEqual } from 'node:util';
import { LIBRARIES } from './implementations.ts';
import type { DeflateParams } from './params.ts';

/** Pieces to try candidates on: enough to tell neighbours among the levels and releases apart. */
const SAMPLES = 16;
/** How many codecs a piece is tried with. */
const MAX_CODECS = 8;

/** Pieces spread over the image; of those that say more about the deflater, if there are enough. */
export function chooseSamples<T>(all: readonly T[], telling: readonly T[]): T[] {
  const from = telling.length >= SAMPLES ? telling : all;
  const count = Math.min(SAMPLES, from.length);
  const chosen: T[] = [];
  for (let n = 0; n < count; n++) {
    const one = from[Math.floor((n * from.length) / count)];
    if (one !== undefined) chosen.push(one);
  }
  return chosen;
}

/**
 * What may have deflated the pieces of an image, best first, found by trying on samples. Behind what fits
 * come its neighbours: releases that differ in one piece of a hundred cannot be told apart by a sample.
 * Empty if nothing that we carry reproduces any of it.
 *
 * @param groups candidates, likeliest first; once one of a group is right in part, no other group is tried
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
    if (scores.length > 0) break;
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
