import type { RecipeArtifact } from '../../bundle/recipes.ts';
import { copyBuffers, copyRange } from '../../core/io/copy.ts';
import { hashingSink } from '../../core/io/sink.ts';
import { checkSize } from '../../core/plausible.ts';
import { patch, type WriteArtifactOptions, wrongTarget } from './patch.ts';
import { writeContainer } from './write-container.ts';

/**
 * Makes one artifact in one pass that also hashes it: resolves only if every byte went to `sink` and the
 * SHA-256 is the recorded one. Throws IntegrityError otherwise, which names a damaged delta blob rather
 * than a symptom of it; UnsupportedError `CODEC_UNKNOWN`.
 */
export async function writeArtifact(options: WriteArtifactOptions): Promise<void> {
  checkDeclared(options.artifact);
  const { recipe } = options.artifact;
  if (recipe.kind === 'container') return writeContainer(options, recipe);
  if (recipe.kind !== 'delta') return copyWhole(options);
  const { artifact, sink, pool, signal, onBytes } = options;
  using hashing = pool.hashing(artifact.size, signal);
  await patch(options, recipe.delta, { sink, hashing, expected: artifact, onBytes });
}

/** Throws UnsupportedError `SIZE_LIMIT` if the bundle promises an artifact that no release has. */
export function checkDeclared({ name, size, recipe }: RecipeArtifact): void {
  checkSize(name, size);
  if (recipe.kind === 'container') checkSize(`the disk in ${name}`, recipe.payload.size);
}

async function copyWhole(options: WriteArtifactOptions): Promise<void> {
  const { artifact, base, sink, pool, signal, onBytes } = options;
  using out = hashingSink(sink, pool.hashing(artifact.size, signal));
  await copyRange(base, 0, base.size, out, copyBuffers(), {
    signal,
    onBytes: () => onBytes?.(out.bytes),
  });
  const found = await out.digest();
  if (out.bytes === artifact.size && found === artifact.sha256) return;
  throw wrongTarget(options, { sha256: found, size: out.bytes });
}
