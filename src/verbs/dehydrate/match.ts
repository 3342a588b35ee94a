import type { Recipe, RecipeLayer, RecipePayload } from '../../bundle/recipes.ts';
import type { BundleWriter } from '../../bundle/write.ts';
import type { CodecPool } from '../../codec/pool.ts';
import { writeRecipe } from '../../codec/recipe-blob.ts';
import type { Hashing } from '../../core/io/digest.ts';
import type { DiskRun } from '../../core/io/disk-run.ts';
import type { Sink } from '../../core/io/sink.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { inPhase } from '../../core/progress/step.ts';
import { encodeRuns } from '../../formats/delta/encode.ts';
import type { OpenBase } from './open-base.ts';
import { type CodecRefusal, type Inside, isRefusal, type TakenApart } from './take-apart.ts';

/** A larger payload, mostly zeros, is not hashed: that would take long, and the artifact is proved anyway. */
const MAX_HASHED_PAYLOAD = 16 * 2 ** 30;

/** A recipe has a byte or two per piece of the container. A larger one stores pieces literally. */
const LARGE_RECIPE = 1 << 20;

export interface MatchOptions {
  readonly base: OpenBase;
  readonly writer: BundleWriter;
  readonly pool: CodecPool;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
  /** For progress. */
  readonly subject: string;
  /** Throws if the file is not the released one. Called before any blob of it is written. */
  readonly prove: () => Promise<void>;
}

/**
 * Matches a payload with its base and writes the delta and the recipes of the containers around it.
 * Resolves to the codec's reason if a codec refuses the file this late; then nothing was written.
 */
export async function matchPayload(
  { layers, payload }: Pick<TakenApart, 'layers' | 'payload'>,
  options: MatchOptions,
): Promise<Recipe | CodecRefusal> {
  const { writer, base, prove } = options;
  try {
    const { blob: delta, result } = await writer.addStream(async (sink) => {
      // A file without layers is the artifact itself, whose hash is already recorded.
      const matched = await (layers.length > 0 ? matchHashed : match)(payload, sink, options);
      await prove();
      return { payload: matched, recipes: await recipesOf(layers) };
    });
    if (layers.length === 0) return { kind: 'delta', base: base.name, delta };
    const described: RecipeLayer[] = [];
    for (const { codec, requires, bytes } of result.recipes) {
      const { blob: recipe } = await writer.addStream((sink) => writeRecipe(bytes, sink));
      if (recipe.size > LARGE_RECIPE) {
        const what =
          codec === 'splice' ? 'of its other files' : 'that no known deflater reproduces';
        const message = `not all taken apart: ${recipe.size} bytes of its ${codec} recipe are bytes ${what}`;
        options.progress({ type: 'note', subject: options.subject, message });
      }
      described.push({ codec, requires, recipe });
    }
    return {
      kind: 'container',
      base: base.name,
      delta,
      payload: result.payload,
      layers: described,
    };
  } catch (error) {
    if (layers.length > 0 && isRefusal(error)) return error;
    throw error;
  }
}

async function match(
  { runs }: Pick<Inside, 'runs'>,
  sink: Sink,
  { base, signal, progress, subject }: MatchOptions,
): Promise<RecipePayload> {
  const index = await base.index();
  // The length of a compressed file is not known before its end.
  const { targetSize: size } = await inPhase(progress, { subject, phase: 'match' }, (onBytes) =>
    encodeRuns({ base: base.source, index, target: runs(), sink, signal, onBytes }),
  );
  return { size };
}

/** The stream has no hash for the payload of a container, so it gets one, for users of rdiff. */
async function matchHashed(
  payload: Inside,
  sink: Sink,
  options: MatchOptions,
): Promise<RecipePayload> {
  const { size = 0, hash } = payload;
  if (size > MAX_HASHED_PAYLOAD) return match(payload, sink, options);
  using hashing = options.pool.hashing(size, options.signal);
  // Hashing is the slowest part, so start it now if the container allows.
  const apart = hash?.(hashing);
  apart?.catch(() => {}); // rethrown when awaited
  const runs = apart ? payload.runs : () => hashed(payload.runs(), hashing);
  let matched: RecipePayload;
  try {
    matched = await match({ runs }, sink, options);
  } catch (error) {
    await apart?.catch(() => {}); // wait for it, because it reads a file that will be closed
    throw error;
  }
  await apart;
  return { ...matched, sha256: await hashing.digest() };
}

async function* hashed(runs: AsyncIterable<DiskRun>, hashing: Hashing): AsyncGenerator<DiskRun> {
  for await (const run of runs) {
    if (run.kind === 'data') await hashing.update(run.bytes);
    else await hashing.zeros(run.length);
    yield run;
  }
}

async function recipesOf(layers: TakenApart['layers']) {
  const recipes = [];
  for (const { codec, opened } of layers) {
    recipes.push({ codec: codec.name, ...(await opened.recipe()) });
  }
  return recipes;
}
