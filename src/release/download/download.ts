import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { IntegrityError, throwIfAborted } from '../../core/errors.ts';
import { headline } from '../../core/failures.ts';
import { createHttp, type Http } from '../../core/http/client.ts';
import { fetchFile } from '../../core/http/fetch-file.ts';
import { makeFolder } from '../../core/io/folders.ts';
import { hashFile } from '../../core/io/hash-file.ts';
import { type Progress, silent } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { sideBySide } from '../../core/threads/side-by-side.ts';
import { findReleased } from '../files/released.ts';
import type { StreamArtifact } from '../stream/artifacts.ts';
import { readKeyring } from './keyring.ts';
import { checkSignature } from './signature.ts';
import { fetchSignature, keepSignature, readSignature } from './signature-files.ts';

export interface DownloadOptions {
  /** Folder for the files, under the names of their locations. */
  readonly folder: string;
  /** Files to download at a time. */
  readonly parallel: number;
  /** Check the detached signature of every file, present or fetched, against the public keys in this file. */
  readonly keyring?: string | undefined;
  /** Fingerprints of keys that may be expired or revoked. */
  readonly acceptKeys?: readonly string[] | undefined;
  /** How often and how fast to try again; as in {@link fetchFile}. */
  readonly attempts?: number | undefined;
  readonly pause?: number | undefined;
  /** Maximum size of a file in bytes. */
  readonly limit?: number | undefined;
  /** Carries the requests, with the proxies and certificates of the environment that it was made with. */
  readonly http?: Http | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

/** A released file that could not be downloaded or verified, and why. */
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
  const { folder, parallel, keyring, signal, http = createHttp() } = options;
  // Before gigabytes are fetched.
  const keys = keyring === undefined ? undefined : await readKeyring(keyring, signal);
  await makeFolder(folder);
  // Artifacts may share a file.
  const files = [...new Map(artifacts.map((one) => [one.releasedName, one])).values()];
  const settled = await sideBySide(files, parallel, (artifact) =>
    downloadOne(artifact, keys, { ...options, http }),
  );
  throwIfAborted(signal);
  return settled.flatMap((one, i) => {
    const artifact = files[i];
    return !one.ok && artifact ? [{ artifact, error: one.error }] : [];
  });
}

async function downloadOne(
  artifact: StreamArtifact,
  keys: Buffer | undefined,
  options: DownloadOptions & { readonly http: Http },
): Promise<void> {
  const { folder, acceptKeys, signal, attempts, pause, limit, http, progress = silent } = options;
  const { releasedName, location, releasedSha256, releasedSize, signature } = artifact;
  throwIfAborted(signal);
  const path = join(folder, releasedName);
  const found = await findReleased(folder, artifact);
  if (found === undefined) {
    await step(progress, { subject: releasedName, phase: 'fetch' }, (onBytes) =>
      fetchFile({
        ...{ url: location, path, sha256: releasedSha256, signal, onBytes, attempts, pause, limit },
        size: releasedSize,
        http,
      }),
    );
  }
  if (keys === undefined) return fetchForBundle(artifact, { ...options, http });
  if (found !== undefined && found.path !== path) throw unsigned(artifact, 'it is unpacked');
  if (signature === undefined) throw unsigned(artifact, 'the stream names no signature of it');
  if (found !== undefined) await proveAtHand(artifact, path, signal);
  const bytes = await fetchSignature(signature, { http, signal });
  try {
    const how = { path, signature: bytes, signatureUrl: signature, keys, acceptKeys, signal };
    await checkSignature(how);
    await keepSignature(folder, artifact, bytes);
  } catch (error) {
    // A file is moved aside, out of reach of a run without --keyring, only if it is proved to be a different one.
    if (error instanceof IntegrityError && error.code === 'SIGNATURE_BAD') {
      await rename(path, `${path}.bad-signature`);
    }
    throw error;
  }
}

/** The bundle carries signatures, but is as good without one: that it cannot be fetched is only noted. */
async function fetchForBundle(
  artifact: StreamArtifact,
  { folder, http, signal, progress = silent }: DownloadOptions & { readonly http: Http },
): Promise<void> {
  const { signature, releasedName } = artifact;
  if (signature === undefined || (await readSignature(folder, artifact, signal))) return;
  try {
    await keepSignature(folder, artifact, await fetchSignature(signature, { http, signal }));
  } catch (error) {
    throwIfAborted(signal);
    const message = `the bundle will not have its signature: ${headline(error)}`;
    progress({ type: 'note', subject: releasedName, message });
  }
}

/** A signature of another file proves nothing about the one in the stream. */
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
    hint: 'remove it, so that it is downloaded again',
  });
}

function unsigned({ releasedName }: StreamArtifact, why: string): IntegrityError {
  return new IntegrityError(`the signature of ${releasedName} cannot be checked: ${why}`, {
    code: 'SIGNATURE_NONE',
    context: { file: releasedName },
    hint: 'leave --keyring out, or use a stream whose files are signed',
  });
}
