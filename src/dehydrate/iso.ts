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
