import { copyBuffers, copyRange } from '../../core/io/copy.ts';
import { hashingSink } from '../../core/io/sink.ts';
import { patch, type WriteArtifactOptions, wrongTarget } from './patch.ts';
import { writeContainer } from './write-container.ts';

/**
 * Makes one artifact in one pass that also hashes it: resolves only if every byte went to `sink` and
 * the SHA-256 is the recorded one. Throws IntegrityError otherwise, naming a damaged delta blob
 * rather than the confusion that it caused; UnsupportedError `CODEC_UNKNOWN`.
 */
export async function writeArtifact(options: WriteArtifactOptions): Promise<void> {
  const { recipe } = options.artifact;
  if (recipe.kind === 'container') return writeContainer(options, recipe);
  if (recipe.kind !== 'delta') return copyWhole(options);
  const { artifact, sink, pool, signal, onBytes } = options;
  using hashing = pool.hashing(artifact.size, signal);
  await patch(options, recipe.delta, { sink, hashing, expected: artifact, onBytes });
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
