import type { BaseName } from '../../../images/platforms.ts';
import type { Bundle } from '../../bundle/read.ts';
import { openBundle, recipesFor } from '../../bundle/read.ts';
import { baseOf, type RecipeArtifact, type Recipes } from '../../bundle/recipes.ts';
import type { CodecPool } from '../../codec/pool.ts';
import type { Arch } from '../../core/arch.ts';
import { IntegrityError, throwIfAborted } from '../../core/errors.ts';
import { nullSink } from '../../core/io/sink.ts';
import { openSource, type Source } from '../../core/io/source.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { allSideBySide } from '../../core/threads/side-by-side.ts';
import type { Turns } from '../../core/threads/turns.ts';
import { applyDelta } from '../../formats/delta/apply.ts';
import { shortName } from '../../release/stream/artifacts.ts';
import { writeArtifact } from '../make/write-artifact.ts';

export interface VerifyOptions {
  /** Folder of the written bundle. */
  readonly path: string;
  readonly arch: Arch;
  /** The regenerated disks; each was read and proved. */
  readonly metal: ReadonlyMap<string, Source>;
  /** Path of the ISO if the bundle does not contain it. */
  readonly isoPath: string;
  /** The base `files`, if the disks are made from it. */
  readonly filesBase?: Source | undefined;
  readonly pool: CodecPool;
  readonly turns: Turns;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
}

/**
 * Opens the bundle as any reader would, makes every artifact from it with the code that rehydrates, and
 * discards the bytes. Throws IntegrityError `VERIFY_FAILED` that names the first artifact that comes out
 * wrong.
 */
export async function verifyBundle(options: VerifyOptions): Promise<void> {
  const { path, arch, metal, isoPath, filesBase, pool, turns, signal: outer, progress } = options;
  const bundle = await openBundle(path, outer);
  const recipes = recipesFor(bundle, arch);
  const { artifacts, iso } = recipes;
  if (filesBase) await verifyMetal(bundle, recipes, filesBase, { pool, signal: outer, progress });
  await using isoSource = await openSource(iso.embedded ? bundle.blobPath(iso) : isoPath);
  const sourceOf = (name: BaseName) => (name === 'iso' ? isoSource : metal.get(name));
  const verify = async (artifact: RecipeArtifact, signal: AbortSignal) => {
    throwIfAborted(signal);
    const subject = shortName(artifact, artifacts);
    const base = sourceOf(baseOf(artifact));
    if (base === undefined) throw new Error(`base ${baseOf(artifact)} is not open`);
    const sink = nullSink();
    try {
      await step(progress, { subject, phase: 'verify', total: artifact.size }, (onBytes) =>
        writeArtifact({ artifact, bundle, base, sink, pool, signal, onBytes }),
      );
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error;
      throw new IntegrityError(`${subject} cannot be made from the written bundle`, {
        code: 'VERIFY_FAILED',
        context: { artifact: subject, file: artifact.name },
        hint: 'check the disk and the memory of this host, then try again',
        cause: error,
      });
    }
  };
  await allSideBySide(artifacts, artifacts.length, outer, (artifact, signal) =>
    turns.run(() => verify(artifact, signal)),
  );
}

/** Patches the base `files` into each metal disk that is made from it. */
async function verifyMetal(
  bundle: Bundle,
  { bases }: Recipes,
  base: Source,
  { pool, signal, progress }: Pick<VerifyOptions, 'pool' | 'signal' | 'progress'>,
): Promise<void> {
  for (const [subject, metal] of Object.entries(bases)) {
    if (metal?.delta === undefined) continue;
    const delta = bundle.readBlob(metal.delta, signal);
    using hashing = pool.hashing(metal.size, signal);
    const sink = nullSink();
    await step(progress, { subject, phase: 'verify', total: metal.size }, (onBytes) =>
      applyDelta({ base, delta, sink, hashing, expected: metal, name: subject, signal, onBytes }),
    );
  }
}
