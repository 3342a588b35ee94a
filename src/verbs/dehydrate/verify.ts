import type { BaseName } from '../../../images/platforms.ts';
import { openBundle, recipesFor } from '../../bundle/read.ts';
import { baseOf } from '../../bundle/recipes.ts';
import type { CodecPool } from '../../codec/pool.ts';
import type { Arch } from '../../core/arch.ts';
import { IntegrityError } from '../../core/errors.ts';
import { nullSink } from '../../core/io/sink.ts';
import { openSource, type Source } from '../../core/io/source.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { shortName } from '../../release/stream/artifacts.ts';
import { writeArtifact } from '../rehydrate/write-artifact.ts';

export interface VerifyOptions {
  /** Folder of the written bundle. */
  readonly path: string;
  readonly arch: Arch;
  /** The regenerated disks; each was proven by a read of its own. */
  readonly metal: ReadonlyMap<string, Source>;
  /** Where the ISO lies if the bundle does not hold it. */
  readonly isoPath: string;
  readonly pool: CodecPool;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
}

/**
 * Opens the bundle as any reader would and makes every artifact from it, into nowhere, by the code
 * that rehydrates. Throws IntegrityError `VERIFY_FAILED` naming the first that does not come out.
 */
export async function verifyBundle(options: VerifyOptions): Promise<void> {
  const { path, arch, metal, isoPath, pool, signal, progress } = options;
  const bundle = await openBundle(path);
  const { artifacts, iso } = recipesFor(bundle, arch);
  await using isoSource = await openSource(iso.embedded ? bundle.blobPath(iso) : isoPath);
  const sourceOf = (name: BaseName) => (name === 'iso' ? isoSource : metal.get(name));
  for (const artifact of artifacts) {
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
      throw new IntegrityError(`${subject} does not come out of the written bundle`, {
        code: 'VERIFY_FAILED',
        context: { artifact: subject, file: artifact.name },
        hint: 'check the disk and the memory of this host, then try again',
        cause: error,
      });
    }
  }
}
