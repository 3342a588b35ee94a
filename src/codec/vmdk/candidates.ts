import type { Source } from '../../io/source.ts';
import { IMPLEMENTATIONS } from '../deflate/implementations.ts';
import { DEFAULT_PARAMS, type DeflateParams } from '../deflate/params.ts';
import type { CodecPool } from '../workers/pool.ts';
import { maxGrainSpan, type PromisedGrain } from './check-grains.ts';
import { MARKER } from './grain.ts';
import { SECTOR } from './header.ts';
import type { VmdkMetadata } from './metadata.ts';

/** Grains to try candidates on: enough to tell neighbours among the levels and releases apart. */
const SAMPLES = 16;
/** How many codecs one image is believed to mix. */
const MAX_CODECS = 3;

/** Levels by FLEVEL of the zlib header (RFC 1950 2.2), most likely first. */
const LEVELS = [[1, 0], [5, 4, 3, 2], [6], [9, 7, 8]] as const;

/**
 * What may have deflated the grains of this image, best first, found by trying on a sample. Empty
 * if nothing that we carry reproduces any of it.
 */
export async function findCodecs(
  source: Source,
  metadata: VmdkMetadata,
  pool: CodecPool,
): Promise<DeflateParams[]> {
  const samples = await readSamples(source, metadata);
  const [first] = samples;
  if (first === undefined) return [];
  const scores: { readonly params: DeflateParams; readonly hits: number }[] = [];
  for (const params of candidates(first.file)) {
    let hits = 0;
    for (const { file, position, grain } of samples) {
      const { grains } = await pool.run('checkGrains', {
        name: source.name,
        position,
        file,
        grains: [grain],
        grainBytes: metadata.header.grainSectors * SECTOR,
        candidates: [params],
      });
      if (grains[0]?.candidate === 0) hits++;
    }
    if (hits === samples.length) return [params];
    if (hits > 0) scores.push({ params, hits });
  }
  scores.sort((a, b) => b.hits - a.hits);
  return scores.slice(0, MAX_CODECS).map(({ params }) => params);
}

interface Sample {
  readonly file: Uint8Array<ArrayBuffer>;
  readonly position: number;
  readonly grain: PromisedGrain;
}

/** Grains spread over the image; those that fill more sectors say more about the deflater. */
async function readSamples(source: Source, metadata: VmdkMetadata): Promise<Sample[]> {
  const { header, grains, starts, limits } = metadata;
  const grainBytes = header.grainSectors * SECTOR;
  const lengthOf = (i: number) => (limits[i] ?? 0) - (starts[i] ?? 0);
  const telling = grains
    .map((_, i) => i)
    .filter((i) => lengthOf(i) > grainBytes / 8 && lengthOf(i) < grainBytes);
  const from = telling.length >= SAMPLES ? telling : grains.map((_, i) => i);
  const count = Math.min(SAMPLES, from.length);
  const samples: Sample[] = [];
  for (let n = 0; n < count; n++) {
    const i = from[Math.floor((n * from.length) / count)] ?? 0;
    const position = starts[i] ?? 0;
    const lba = (grains[i] ?? 0) * header.grainSectors;
    const room = Math.min(lengthOf(i), maxGrainSpan(grainBytes));
    const file = new Uint8Array(room);
    await source.read(file, position);
    const length = Math.min(grainBytes, header.capacity * SECTOR - lba * SECTOR);
    samples.push({ file, position, grain: { start: 0, room, lba, length } });
  }
  return samples;
}

function* candidates(grain: Uint8Array): Generator<DeflateParams> {
  const windowBits = Math.min(15, Math.max(9, ((grain[MARKER] ?? 0) >> 4) + 8));
  const levels = LEVELS[(grain[MARKER + 1] ?? 0) >> 6] ?? [6];
  for (const memLevel of [8, 9]) {
    for (const level of levels) {
      for (const implementation of IMPLEMENTATIONS) {
        yield { ...DEFAULT_PARAMS, implementation, level, windowBits, memLevel };
      }
    }
  }
}
