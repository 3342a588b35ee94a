import type { Bundle } from '../../bundle/read.ts';
import { MAX_SIGNATURE, type RecipeArtifact } from '../../bundle/recipes.ts';
import { layerOf } from '../../bundle/released-layer.ts';
import type { Encoder } from '../../codec/codec.ts';
import type { BlockMemo } from '../../codec/released/context.ts';
import { releasedEncoder } from '../../codec/released/encode.ts';
import { IntegrityError } from '../../core/errors.ts';
import { runsToSink, sourceRuns } from '../../core/io/disk-run.ts';
import { type HashingSink, hashingSink, nullSink, type Sink } from '../../core/io/sink.ts';
import { openSource } from '../../core/io/source.ts';
import { TargetMismatchError } from '../../core/io/target-mismatch.ts';
import {
  type Keys,
  openSignatureCheck,
  type SignatureCheck,
} from '../../release/download/signature.ts';
import { checkMakeable, howTo, type MadeFile, releasedFile } from './made-file.ts';
import type { WriteArtifactOptions } from './patch.ts';
import { writeArtifact } from './write-artifact.ts';

export interface WriteMadeOptions extends Omit<WriteArtifactOptions, 'artifact'> {
  readonly file: MadeFile;
  /** Check the signature of the release with these keys, too. */
  readonly keyring?: Keys | undefined;
  /** Blocks that were compressed before, in this run. */
  readonly blocks?: BlockMemo | undefined;
}

/**
 * Makes a target, or the released file around it, in one pass that also hashes both: resolves only if every byte went
 * to `sink` and each SHA-256 is the recorded one. With keys, the signature of the release must be good as well; that
 * of a target is checked of the released file around it, which is made for that. Throws what {@link writeArtifact},
 * {@link checkMakeable} and `checkSignature` throw, and IntegrityError `SIGNATURE_NONE`.
 */
export async function writeMade({ file, ...options }: WriteMadeOptions): Promise<void> {
  checkMakeable(file);
  const { artifact } = file;
  const { keyring, sink } = options;
  const needs = keyring ? releasedFile(artifact) : file;
  if (!needs.compressed && keyring === undefined) {
    return writeArtifact({ ...options, artifact });
  }
  await using check = keyring && (await signatureCheck(artifact, { ...options, keyring }));
  const signed = check
    ? bothSinks(file.compressed === needs.compressed ? sink : nullSink(), check)
    : sink;
  if (!needs.compressed) {
    await writeArtifact({ ...options, artifact, sink: signed });
  } else {
    using out = around(needs, signed, options);
    const target = file.compressed ? out.encoder : bothSinks(sink, out.encoder);
    try {
      await writeArtifact({ ...options, artifact, sink: target });
      await out.finish();
    } catch (error) {
      await out.encoder.abort(error);
      throw error;
    }
  }
  await check?.finish();
}

/** As {@link writeMade} checks a signature, of a file that exists and has its SHA-256. */
export async function checkMade(
  path: string,
  { file, ...options }: Omit<WriteMadeOptions, 'base' | 'sink' | 'onBytes'> & { keyring: Keys },
): Promise<void> {
  const needs = releasedFile(file.artifact);
  await using check = await signatureCheck(file.artifact, options);
  await using source = await openSource(path, options.signal);
  const runs = sourceRuns(source, options.signal);
  if (needs.compressed === file.compressed) await runsToSink(runs, check);
  else {
    using out = around(needs, check, options);
    try {
      await runsToSink(runs, out.encoder);
      await out.finish();
    } catch (error) {
      await out.encoder.abort(error);
      throw error;
    }
  }
  await check.finish();
}

interface Around extends Disposable {
  /** Takes the target. */
  readonly encoder: Encoder;
  /** Throws TargetMismatchError if that gives another file than the released one. */
  finish(): Promise<void>;
}

/** Compresses a target to the released file, which goes to `sink`. */
function around(
  { layer, name, sha256, size = 0, artifact }: MadeFile,
  sink: Sink,
  { pool, blocks, signal }: Pick<WriteMadeOptions, 'pool' | 'blocks' | 'signal'>,
): Around {
  if (layer === undefined) throw new Error('a released file without a layer was not refused');
  const out: HashingSink = hashingSink(sink, pool.hashing(size, signal));
  const encoder = releasedEncoder(layerOf(layer, name), out, { signal, blocks });
  return {
    encoder,
    async finish() {
      await encoder.finish();
      const found = { sha256: await out.digest(), size: out.bytes };
      if (found.size === size && found.sha256 === sha256) return;
      throw new TargetMismatchError(`${name} does not have the SHA-256 of the stream`, {
        expected: { sha256, size },
        found,
        context: { target: artifact.sha256, layer: layer.kind },
        hint: 'its target is right, so its layer is damaged: pull or copy the bundle again',
      });
    },
    [Symbol.dispose]: () => out[Symbol.dispose](),
  };
}

async function signatureCheck(
  artifact: RecipeArtifact,
  { bundle, keyring, signal }: { bundle: Bundle; keyring: Keys; signal?: AbortSignal | undefined },
): Promise<SignatureCheck> {
  const { name, signature: blob } = artifact.released;
  const none = (why: string, hint: string) =>
    new IntegrityError(`the signature of ${name} cannot be checked: ${why}`, {
      code: 'SIGNATURE_NONE',
      context: { file: name },
      hint,
    });
  if (blob === undefined) {
    const hint = 'leave --keyring out, or make the bundle from a folder with its .sig';
    throw none('the bundle does not carry it', hint);
  }
  try {
    checkMakeable(releasedFile(artifact));
  } catch (cause) {
    const hint = `leave --keyring out${howTo(artifact.compression)}`;
    throw Object.assign(none('only its contents can be made', hint), { cause });
  }
  const signature = await bundle.readWholeBlob(blob, MAX_SIGNATURE, signal);
  const signatureUrl = `${name}.sig of the bundle`;
  return openSignatureCheck({ ...keyring, path: name, signature, signatureUrl, signal });
}

function bothSinks(one: Sink, other: Sink): Sink {
  return {
    async write(chunk) {
      await Promise.all([one.write(chunk), other.write(chunk)]);
    },
    async zeros(length) {
      await one.zeros(length);
      await other.zeros(length);
    },
  };
}
