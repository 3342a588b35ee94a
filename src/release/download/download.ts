import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { IntegrityError, throwIfAborted } from '../../core/errors.ts';
import { fetchFile } from '../../core/http/fetch-file.ts';
import { hashFile } from '../../core/io/hash-file.ts';
import { osError } from '../../core/io/os-error.ts';
import { type Progress, silent } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { sideBySide } from '../../core/threads/side-by-side.ts';
import { findReleased } from '../files/released.ts';
import type { StreamArtifact } from '../stream/artifacts.ts';
import { checkSignature } from './signature.ts';

export interface DownloadOptions {
  /** Where the files go, under the names of their locations. */
  readonly folder: string;
  /** Files under way at a time. */
  readonly parallel: number;
  /** Check the detached signature of every file, at hand or fetched, against these keys. */
  readonly keyring?: string | undefined;
  /** How often and how fast to try again; as in {@link fetchFile}. */
  readonly attempts?: number | undefined;
  readonly pause?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

/** A released file that could not be had, and why. */
export interface DownloadFailure {
  readonly artifact: StreamArtifact;
  readonly error: unknown;
}

/**
 * Fetches released files that are not in the folder, several at a time, each checked while it
 * arrives. One that fails stops no other. Resolves to those that failed; throws only when cancelled, or if
 * the folder cannot be used.
 */
export async function download(
  artifacts: readonly StreamArtifact[],
  options: DownloadOptions,
): Promise<DownloadFailure[]> {
  const { folder, parallel, signal } = options;
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw osError(error, 'create', folder);
  }
  // Artifacts may share a file.
  const files = [...new Map(artifacts.map((one) => [one.releasedName, one])).values()];
  const settled = await sideBySide(files, parallel, (artifact) => downloadOne(artifact, options));
  throwIfAborted(signal);
  return settled.flatMap((one, i) => {
    const artifact = files[i];
    return !one.ok && artifact ? [{ artifact, error: one.error }] : [];
  });
}

async function downloadOne(artifact: StreamArtifact, options: DownloadOptions): Promise<void> {
  const { folder, keyring, signal, attempts, pause, progress = silent } = options;
  const { releasedName, location, releasedSha256, signature } = artifact;
  throwIfAborted(signal);
  const path = join(folder, releasedName);
  const found = await findReleased(folder, artifact);
  if (found === undefined) {
    await step(progress, { subject: releasedName, phase: 'fetch' }, (onBytes) =>
      fetchFile({
        url: location,
        path,
        sha256: releasedSha256,
        signal,
        onBytes,
        ...(attempts === undefined ? {} : { attempts }),
        ...(pause === undefined ? {} : { pause }),
      }),
    );
  }
  if (keyring === undefined) return;
  if (found !== undefined && found.path !== path) throw unsigned(artifact, 'it is unpacked');
  if (signature === undefined) throw unsigned(artifact, 'the stream names no signature of it');
  if (found !== undefined) await proveAtHand(artifact, path, signal);
  try {
    await checkSignature({ path, signatureUrl: signature, keyring, signal });
  } catch (error) {
    // What is not signed by whom it should be must not be taken by a later run without --keyring.
    if (error instanceof IntegrityError) await rename(path, `${path}.bad-signature`);
    throw error;
  }
}

/** A signature of something else proves nothing of what the stream promises. */
async function proveAtHand(
  { releasedName, releasedSha256 }: StreamArtifact,
  path: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { sha256 } = await hashFile(path, { signal });
  if (sha256 === releasedSha256) return;
  throw new IntegrityError(`${releasedName} does not have the SHA-256 of the stream`, {
    code: 'RELEASED_DIGEST',
    context: { file: path, expected: releasedSha256, found: sha256 },
    hint: 'remove it, so that it is fetched again',
  });
}

function unsigned({ releasedName }: StreamArtifact, why: string): IntegrityError {
  return new IntegrityError(`the signature of ${releasedName} cannot be checked: ${why}`, {
    code: 'SIGNATURE_NONE',
    context: { file: releasedName },
    hint: 'leave --keyring out, or use a stream whose files are signed',
  });
}
