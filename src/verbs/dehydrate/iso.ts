import { stat } from 'node:fs/promises';
import type { BundleWriter } from '../../bundle/write.ts';
import type { Arch } from '../../core/arch.ts';
import { IntegrityError, UnsupportedError } from '../../core/errors.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { hashFile } from '../../core/io/hash-file.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import type { LiveIso } from '../../formats/iso/live-iso.ts';
import { openLiveIso } from '../../formats/iso/open.ts';
import { openRootImageIso, type RootImageIso } from '../../formats/iso/root-image.ts';
import { findReleased } from '../../release/files/released.ts';
import type { StreamArtifact } from '../../release/stream/artifacts.ts';
import { fileMissing } from './checks.ts';

/** The local ISO: its headers were read, its bytes are not proved yet. */
export interface FoundIso {
  readonly artifact: StreamArtifact;
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Undefined if it has no osmet. */
  readonly live: LiveIso | undefined;
  /** Undefined unless its files are wanted, or if it has no root image. */
  readonly root: RootImageIso | undefined;
}

export interface ReleasedIso extends FoundIso, BlobRef {}

/** The source of the metal disks; undefined means the osmet if there is one, else files. */
export type BaseChoice = 'osmet' | 'files' | undefined;

export interface FindIsoOptions {
  readonly arch: Arch;
  readonly folder: string;
  readonly base?: BaseChoice;
  /** Whether files can be had elsewhere. */
  readonly elsewhere?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface TakeIsoOptions {
  readonly writer: BundleWriter;
  /** Leave it out of the bundle. */
  readonly external: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
}

/**
 * A cheap check first, before gigabytes are copied. Throws UnsupportedError
 * `FILE_MISSING` or `ISO_ARCH`.
 */
export async function findIso(
  artifact: StreamArtifact,
  options: FindIsoOptions,
): Promise<FoundIso> {
  const { arch, folder, base } = options;
  const file = await findReleased(folder, artifact);
  if (file === undefined) throw fileMissing(artifact);
  const { path } = file;
  const live = await openOsmets(path, options);
  const root = live && base !== 'files' ? undefined : await openRoot(path, options);
  const found = live ?? root;
  if (found?.arch !== undefined && found.arch !== arch) {
    throw new UnsupportedError(`the ISO for ${arch} is an ISO for ${found.arch}`, {
      code: 'ISO_ARCH',
      context: { file: path },
      hint: 'check the stream JSON and the artifacts folder',
    });
  }
  return { artifact, path, size: found?.size ?? (await stat(path)).size, live, root };
}

/** Undefined for a live ISO without osmets, unless one is requested. */
async function openOsmets(
  path: string,
  { base, signal }: FindIsoOptions,
): Promise<LiveIso | undefined> {
  try {
    return await openLiveIso(path, { signal });
  } catch (error) {
    const hasNone = error instanceof UnsupportedError && NO_OSMET.includes(error.code);
    if (base === 'osmet' || !hasNone) throw error;
    return undefined;
  }
}

/** `ISO_NO_OSMET`, with the kind of ISO if its layout is a different one. */
const NO_OSMET = ['ISO_NO_OSMET', 'ISO_NO_ROOTFS', 'ISO_NOT_COREOS', 'ISO_NO_ROOT_IMAGE'];

async function openRoot(
  path: string,
  { elsewhere = false, signal }: FindIsoOptions,
): Promise<RootImageIso | undefined> {
  try {
    return await openRootImageIso(path, signal);
  } catch (error) {
    if (elsewhere && error instanceof UnsupportedError) return undefined;
    throw error;
  }
}

/**
 * Checks the ISO against the stream while copying it into the bundle (one read). Throws
 * IntegrityError `RELEASED_DIGEST`.
 */
export async function takeIso(
  found: FoundIso,
  { writer, external, signal, progress }: TakeIsoOptions,
): Promise<ReleasedIso> {
  const { artifact, path } = found;
  const { result: read } = await step(
    progress,
    { subject: artifact.name, phase: 'hash-iso', total: found.size },
    (onBytes) => (external ? hashFile : writer.addFile)(path, { signal, onBytes }),
  );
  if (read.sha256 !== artifact.sha256) {
    throw new IntegrityError(`${artifact.releasedName} does not have the SHA-256 of the stream`, {
      code: 'RELEASED_DIGEST',
      context: { file: path, expected: artifact.releasedSha256, found: read.sha256 },
      hint: 'fetch the ISO again; it must be of the release that the stream JSON describes',
    });
  }
  return { ...found, sha256: read.sha256, size: read.size };
}
