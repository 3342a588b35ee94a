import { checkBlob } from '../../bundle/blobs.ts';
import type { Bundle } from '../../bundle/read.ts';
import type { Recipes } from '../../bundle/recipes.ts';
import { blobsFor } from '../../bundle/work.ts';
import { createBundleWriter } from '../../bundle/write.ts';
import { ARCHITECTURES } from '../../core/arch.ts';
import { IntegrityError, throwIfAborted, UsageError } from '../../core/errors.ts';
import type { BlobRef, Sha256 } from '../../core/io/digest.ts';
import { type Progress, silent } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import type { Descriptor } from '../../formats/oci/oci.ts';
import { MAX_STREAM_BYTES } from '../../release/stream/read.ts';
import { addIndex, addManifest } from '../dehydrate/manifest.ts';

export interface MergeOptions {
  readonly bundles: readonly Bundle[];
  readonly target: string;
  readonly force?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

export interface Merged {
  readonly digest: Sha256;
  readonly architectures: readonly Recipes[];
}

/**
 * Merges bundles of several architectures into one, byte for byte the same as from a single job for all of them. Reads
 * and hashes every blob on the way. Throws UsageError `MERGE_TWICE` for an architecture that differs between two
 * bundles, `MERGE_STREAMS` if the bundles come from different streams.
 */
export async function merge(options: MergeOptions): Promise<Merged> {
  const { bundles, target, force, signal, progress = silent } = options;
  const parts = partsOf(bundles);
  await using writer = await createBundleWriter(target, { force, signal });
  const [first] = parts;
  if (first === undefined) throw new Error('there is nothing to merge');
  const { stream } = first.recipes;
  await writer.addBytes(await first.bundle.readWholeBlob(stream, MAX_STREAM_BYTES, signal));
  const manifests: Descriptor[] = [];
  const done = new Set<string>();
  for (const { bundle, recipes } of parts) {
    const whole = { recipes, artifacts: recipes.artifacts };
    for (const blob of blobsFor([whole])) {
      throwIfAborted(signal);
      if (done.has(blob.sha256)) continue;
      done.add(blob.sha256);
      const subject = `${recipes.architecture} ${blob.sha256.slice(0, 12)}`;
      await step(progress, { subject, phase: 'copy', total: blob.size }, (onBytes) =>
        copy(bundle, blob, (path) => writer.addFile(path, { signal, onBytes })),
      );
    }
    manifests.push(await addManifest(writer, recipes));
  }
  const digest = await addIndex(writer, manifests, first.recipes.release);
  await writer.commit();
  return { digest, architectures: parts.map(({ recipes }) => recipes) };
}

async function copy(
  bundle: Bundle,
  blob: BlobRef,
  add: (path: string) => Promise<BlobRef>,
): Promise<void> {
  const path = await checkBlob(bundle.path, blob);
  const { sha256: found } = await add(path);
  if (found === blob.sha256) return;
  throw new IntegrityError(`blob ${blob.sha256} is damaged: its SHA-256 is ${found}`, {
    code: 'BLOB_DIGEST',
    context: { file: path, expected: blob.sha256, found },
    hint: 'copy or pull the bundle again',
  });
}

interface Part {
  readonly bundle: Bundle;
  readonly recipes: Recipes;
}

/** In the order that a single job uses. */
function partsOf(bundles: readonly Bundle[]): readonly Part[] {
  const all = bundles.flatMap((bundle) => bundle.recipes.map((recipes) => ({ bundle, recipes })));
  for (const { recipes } of all) refuseOtherStream(recipes, all[0]?.recipes ?? recipes);
  return ARCHITECTURES.flatMap((arch) => {
    const same = all.filter(({ recipes }) => recipes.architecture === arch);
    const [first, ...others] = same;
    if (first === undefined) return [];
    const other = others.find(
      (one) => JSON.stringify(one.recipes) !== JSON.stringify(first.recipes),
    );
    if (other === undefined) return [first];
    throw new UsageError(`two bundles have ${arch}, and they differ`, {
      code: 'MERGE_TWICE',
      context: { first: nameOf(first.bundle), second: nameOf(other.bundle) },
      hint: 'name one bundle for each architecture',
    });
  });
}

const nameOf = ({ origin, path }: Bundle) => origin ?? path;

/** Throws UsageError `MERGE_STREAMS`, because a bundle holds one release. */
export function refuseOtherStream(one: Recipes, other: Recipes): void {
  if (one.stream.sha256 === other.stream.sha256) return;
  throw new UsageError(
    `${one.architecture} and ${other.architecture} come from different streams`,
    {
      code: 'MERGE_STREAMS',
      context: {
        [one.architecture]: `${one.stream.name} ${one.release}, sha256:${one.stream.sha256}`,
        [other.architecture]: `${other.stream.name} ${other.release}, sha256:${other.stream.sha256}`,
      },
      hint: 'make all of them from the same stream JSON',
    },
  );
}
