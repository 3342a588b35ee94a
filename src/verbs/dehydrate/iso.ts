import type { BundleWriter } from '../../bundle/write.ts';
import type { Arch } from '../../core/arch.ts';
import { IntegrityError, UnsupportedError } from '../../core/errors.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { hashFile } from '../../core/io/hash-file.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import type { LiveIso } from '../../formats/iso/live-iso.ts';
import { openLiveIso } from '../../formats/iso/open.ts';
import { findReleased } from '../../release/files/released.ts';
import type { StreamArtifact } from '../../release/stream/artifacts.ts';
import { fileMissing } from './artifact.ts';

/** The ISO as it lies there: its headers were read, its bytes are not proven. */
export interface FoundIso {
  readonly artifact: StreamArtifact;
  readonly path: string;
  readonly live: LiveIso;
}

export interface ReleasedIso extends FoundIso, BlobRef {}

export interface FindIsoOptions {
  readonly arch: Arch;
  readonly folder: string;
  readonly signal?: AbortSignal | undefined;
}

export interface TakeIsoOptions {
  readonly writer: BundleWriter;
  /** Leave it outside of the bundle. */
  readonly external: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
}

/**
 * A cheap look first: no copy of a gigabyte for what is no live ISO. Throws UnsupportedError
 * `FILE_MISSING` or `ISO_ARCH`.
 */
export async function findIso(
  artifact: StreamArtifact,
  { arch, folder, signal }: FindIsoOptions,
): Promise<FoundIso> {
  const file = await findReleased(folder, artifact);
  if (file === undefined) throw fileMissing(artifact);
  const live = await openLiveIso(file.path, { signal });
  if (live.arch !== arch) {
    throw new UnsupportedError(`the ISO of ${arch} is one of ${live.arch}`, {
      code: 'ISO_ARCH',
      context: { file: file.path },
      hint: 'check the stream JSON and the artifacts folder',
    });
  }
  return { artifact, path: file.path, live };
}

/**
 * Checks the ISO against the stream while copying it into the bundle (one read). Throws
 * IntegrityError `RELEASED_DIGEST`.
 */
export async function takeIso(
  { artifact, path, live }: FoundIso,
  { writer, external, signal, progress }: TakeIsoOptions,
): Promise<ReleasedIso> {
  const { result: read } = await step(
    progress,
    { subject: artifact.name, phase: 'hash-iso', total: live.size },
    (onBytes) => (external ? hashFile : writer.addFile)(path, { signal, onBytes }),
  );
  if (read.sha256 !== artifact.sha256) {
    throw new IntegrityError(`${artifact.releasedName} does not have the SHA-256 of the stream`, {
      code: 'RELEASED_DIGEST',
      context: { file: path, expected: artifact.releasedSha256, found: read.sha256 },
      hint: 'fetch the ISO again; it must be of the release that the stream JSON describes',
    });
  }
  return { artifact, path, live, sha256: read.sha256, size: read.size };
}
