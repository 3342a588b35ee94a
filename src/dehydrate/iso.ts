import type { Arch } from '../arch.ts';
import type { BlobRef } from '../bundle/blobs.ts';
import type { BundleWriter } from '../bundle/write.ts';
import { IntegrityError, UnsupportedError } from '../errors.ts';
import { hashFile } from '../io/hash-file.ts';
import type { LiveIso } from '../iso/live-iso.ts';
import { openLiveIso } from '../iso/open.ts';
import type { Progress } from '../progress.ts';
import { step } from '../step.ts';
import { plainFormat, type StreamArtifact } from '../stream/artifacts.ts';
import { fileMissing } from './artifact.ts';
import { findReleased } from './released.ts';

export interface ReleasedIso extends BlobRef {
  readonly artifact: StreamArtifact;
  readonly path: string;
  readonly live: LiveIso;
}

export interface TakeIsoOptions {
  readonly arch: Arch;
  readonly folder: string;
  readonly writer: BundleWriter;
  /** Leave it outside of the bundle. */
  readonly external: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
}

/** The live ISO among an architecture's artifacts. Throws UnsupportedError `STREAM_NO_ISO`. */
export function isoArtifact(artifacts: readonly StreamArtifact[], arch: Arch): StreamArtifact {
  const iso = artifacts.find(
    ({ format, file }) => plainFormat(format) === 'iso' && file === 'disk',
  );
  if (iso) return iso;
  throw new UnsupportedError(`the stream has no live ISO for ${arch}`, {
    code: 'STREAM_NO_ISO',
    context: { architecture: arch },
    hint: 'use a stream whose metal platform has the format iso',
  });
}

/**
 * Checks the ISO against the stream while copying it into the bundle (one read), then reads what it
 * is. Throws IntegrityError `RELEASED_DIGEST`, UnsupportedError `FILE_MISSING` or `ISO_ARCH`.
 */
export async function takeIso(
  artifact: StreamArtifact,
  { arch, folder, writer, external, signal, progress }: TakeIsoOptions,
): Promise<ReleasedIso> {
  const file = await findReleased(folder, artifact);
  if (file === undefined) throw fileMissing(artifact);
  // Cheap look first: no copy of a gigabyte for what is no live ISO.
  const live = await openLiveIso(file.path, { signal });
  if (live.arch !== arch) {
    throw new UnsupportedError(`the ISO of ${arch} is one of ${live.arch}`, {
      code: 'ISO_ARCH',
      context: { file: file.path },
      hint: 'check the stream JSON and the artifacts folder',
    });
  }
  const { result: read } = await step(
    progress,
    { subject: artifact.name, phase: 'hash-iso', total: live.size },
    (onBytes) => (external ? hashFile : writer.addFile)(file.path, { signal, onBytes }),
  );
  if (read.sha256 !== artifact.sha256) {
    throw new IntegrityError(`${artifact.releasedName} does not have the SHA-256 of the stream`, {
      code: 'RELEASED_DIGEST',
      context: { file: file.path, expected: artifact.releasedSha256, found: read.sha256 },
      hint: 'fetch the ISO again; it must be of the release that the stream JSON describes',
    });
  }
  return { artifact, path: file.path, live, sha256: read.sha256, size: read.size };
}
