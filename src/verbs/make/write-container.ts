import type { Recipe, RecipeArtifact, RecipeLayer } from '../../bundle/recipes.ts';
import type { Encoder, ParsedRecipe } from '../../codec/codec.ts';
import { MAX_RECIPE_BYTES, readRecipe } from '../../codec/recipe-blob.ts';
import { codecOf } from '../../codec/registry.ts';
import { FormatError } from '../../core/errors.ts';
import { hashingSink, type Sink } from '../../core/io/sink.ts';
import { checkSize } from '../../core/plausible.ts';
import { patch, type WriteArtifactOptions, wrongTarget } from './patch.ts';

/**
 * Patches the payload straight into the encoders of its layers: one pass, no temporary file. Throws
 * IntegrityError `TARGET_MISMATCH`, FormatError for an invalid recipe, UnsupportedError
 * `CODEC_UNKNOWN`.
 */
export async function writeContainer(
  options: WriteArtifactOptions,
  { delta, payload, layers }: Recipe & { kind: 'container' },
): Promise<void> {
  const { artifact, sink, pool, signal, onBytes } = options;
  const parsed = await readLayers(options, layers);
  checkSizes(artifact, payload.size, parsed);
  using out = hashingSink(sink, pool.hashing(artifact.size, signal));
  const encoders: Encoder[] = [];
  try {
    let outer: Sink = out;
    for (const layer of parsed) {
      const encoder = layer.encoder(outer, options);
      encoders.unshift(encoder);
      outer = encoder;
    }
    // The hash of the artifact proves the payload too.
    const expected = { size: payload.size };
    await patch(options, delta, { sink: outer, expected, onBytes: () => onBytes?.(out.bytes) });
    for (const encoder of encoders) await encoder.finish();
    onBytes?.(out.bytes);
  } catch (error) {
    for (const encoder of encoders) await encoder.abort(error);
    throw error;
  }
  const found = await out.digest();
  if (out.bytes !== artifact.size || found !== artifact.sha256) {
    throw wrongTarget(options, { sha256: found, size: out.bytes });
  }
}

/** Parses the recipes of all layers, outermost first, before a byte is written. */
async function readLayers(
  { artifact: { name }, bundle, signal }: WriteArtifactOptions,
  layers: readonly RecipeLayer[],
): Promise<ParsedRecipe[]> {
  const parsed: ParsedRecipe[] = [];
  for (const layer of layers) {
    const codec = codecOf(layer, name);
    const blob = await bundle.readWholeBlob(layer.recipe, MAX_RECIPE_BYTES, signal);
    const recipe = codec.parse(readRecipe(blob, `the ${codec.name} recipe of ${name}`));
    checkSize(`a container in ${name}`, recipe.containerSize);
    checkSize(`what is in a container of ${name}`, recipe.payloadSize);
    parsed.push(recipe);
  }
  return parsed;
}

/** Each layer must accept the output of the one inside it. */
function checkSizes(
  { name, size }: RecipeArtifact,
  payloadSize: number,
  parsed: readonly ParsedRecipe[],
): void {
  const wanted = [...parsed.map((layer) => layer.payloadSize)];
  const given = [...parsed.map(({ containerSize }) => containerSize), payloadSize];
  const wrong = [size, ...wanted].findIndex((bytes, index) => bytes !== given[index]);
  if (wrong === -1) return;
  throw new FormatError(`the layers of ${name} do not fit together`, {
    code: 'RECIPE_SIZES',
    context: {
      file: name,
      layer: wrong,
      expected: [size, ...wanted][wrong],
      found: given[wrong],
    },
    hint: 'this recipe is damaged: pull or copy the bundle again',
  });
}
