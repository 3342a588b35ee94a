import { layerOf } from '../../bundle/released-layer.ts';
import { releasedEncoder } from '../../codec/released/encode.ts';
import { hashingSink } from '../../core/io/sink.ts';
import { TargetMismatchError } from '../../core/io/target-mismatch.ts';
import { checkMakeable, type MadeFile } from './made-file.ts';
import type { WriteArtifactOptions } from './patch.ts';
import { writeArtifact } from './write-artifact.ts';

export interface WriteMadeOptions extends Omit<WriteArtifactOptions, 'artifact'> {
  readonly file: MadeFile;
}

/**
 * Makes a target, or the released file around it, in one pass that also hashes both: resolves only if every byte went
 * to `sink` and each SHA-256 is the recorded one. Throws what {@link writeArtifact} and {@link checkMakeable} throw.
 */
export async function writeMade({ file, ...options }: WriteMadeOptions): Promise<void> {
  checkMakeable(file);
  const { artifact, layer, name, sha256, size = 0 } = file;
  if (layer === undefined) return writeArtifact({ ...options, artifact });
  const { sink, pool, signal } = options;
  using out = hashingSink(sink, pool.hashing(size, signal));
  const encoder = releasedEncoder(layerOf(layer, name), out, { signal });
  try {
    await writeArtifact({ ...options, artifact, sink: encoder });
    await encoder.finish();
  } catch (error) {
    await encoder.abort(error);
    throw error;
  }
  const found = { sha256: await out.digest(), size: out.bytes };
  if (found.size === size && found.sha256 === sha256) return;
  throw new TargetMismatchError(`${name} does not have the SHA-256 of the stream`, {
    expected: { sha256, size },
    found,
    context: { target: artifact.sha256, layer: layer.kind },
    hint: 'its target is right, so its layer is damaged: pull or copy the bundle again',
  });
}
