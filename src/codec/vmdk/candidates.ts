import type { Source } from '../../core/io/source.ts';
import { LIBRARIES } from '../deflate/implementations.ts';
import { DEFAULT_PARAMS, type DeflateParams } from '../deflate/params.ts';
import { chooseSamples, rankDeflaters } from '../deflate/rank.ts';
import type { CodecPool } from '../pool.ts';
import type { PromisedGrain } from './check-grains.ts';
import { checkGrains } from './check-grains.ts';
import { MARKER, maxGrainSpan } from './grain.ts';
import { SECTOR } from './header.ts';
import type { VmdkMetadata } from './metadata.ts';

/** How many kinds of zlib headers are looked at. */
const MAX_HEADERS = 3;

/** Levels by FLEVEL of the zlib header (RFC 1950 2.2), most likely first. */
const LEVELS = [[1, 0], [5, 4, 3, 2], [6], [9, 7, 8]] as const;

/** Deflaters that may have made the grains of this image, best first; see {@link rankDeflaters}. */
export async function findCodecs(
  source: Source,
  metadata: VmdkMetadata,
  pool: CodecPool,
): Promise<DeflateParams[]> {
  const { name } = source;
  const grainBytes = metadata.header.grainSectors * SECTOR;
  const samples = await readSamples(source, metadata);
  return rankDeflaters([[...candidates(samples)]], samples, async (params, sample) => {
    const { file, position, grain } = sample;
    const input = { name, position, file, grains: [grain], grainBytes, candidates: [params] };
    const { grains } = await pool.run(checkGrains, input);
    return grains[0]?.candidate === 0;
  });
}

interface Sample {
  readonly file: Uint8Array<ArrayBuffer>;
  readonly position: number;
  readonly grain: PromisedGrain;
}

/** Grains that fill more sectors say more about the deflater. */
async function readSamples(source: Source, metadata: VmdkMetadata): Promise<Sample[]> {
  const { header, grains, starts, limits } = metadata;
  const grainBytes = header.grainSectors * SECTOR;
  const lengthOf = (i: number) => (limits[i] ?? 0) - (starts[i] ?? 0);
  const all = grains.map((_, i) => i);
  const telling = all.filter((i) => lengthOf(i) > grainBytes / 8 && lengthOf(i) < grainBytes);
  const samples: Sample[] = [];
  for (const i of chooseSamples(all, telling)) {
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

function* candidates(samples: readonly Sample[]): Generator<DeflateParams> {
  for (const [cmf, flg] of zlibHeaders(samples)) {
    const windowBits = Math.min(15, Math.max(9, (cmf >> 4) + 8));
    for (const memLevel of [8, 9]) {
      for (const level of LEVELS[flg >> 6] ?? []) {
        for (const implementation of LIBRARIES) {
          yield { ...DEFAULT_PARAMS, implementation, level, windowBits, memLevel };
        }
      }
    }
  }
}

/** The first two bytes of the zlib streams, the most common ones first. */
function zlibHeaders(samples: readonly Sample[]): (readonly [number, number])[] {
  const counts = new Map<number, number>();
  for (const { file } of samples) {
    const header = ((file[MARKER] ?? 0) << 8) | (file[MARKER + 1] ?? 0);
    counts.set(header, (counts.get(header) ?? 0) + 1);
  }
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .slice(0, MAX_HEADERS)
    .map(([header]) => [header >> 8, header & 0xff]);
}
