import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { execa } from 'execa';
import {
  IntegrityError,
  IoError,
  RehydrateError,
  throwIfAborted,
  toolMissing,
} from '../../core/errors.ts';
import { checkUrl } from '../../core/http/fetch-file.ts';
import { readBody } from '../../core/http/read-body.ts';

/** Detached signatures are some hundred bytes for each key. */
const MAX_SIGNATURE = 1 << 20;

export interface SignatureOptions {
  /** The file that is signed. */
  readonly path: string;
  readonly signatureUrl: string;
  /** Binary OpenPGP keys, as `gpg --export` writes them. */
  readonly keyring: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Fetches a detached signature and has gpgv(1) check it: any key of the keyring will do, and no other.
 * Throws IntegrityError `SIGNATURE_BAD`, ToolError `TOOL_MISSING`.
 */
export async function checkSignature(options: SignatureOptions): Promise<void> {
  const { path, signatureUrl, keyring, signal } = options;
  const signature = await fetchSmall(signatureUrl, signal);
  const folder = await mkdtemp(join(tmpdir(), 'iso-rehydrate-gpgv-'));
  try {
    const file = join(folder, 'signature');
    await writeFile(file, signature);
    // A name without a slash would be looked for in gpgv's own folder.
    const keys = isAbsolute(keyring) ? keyring : resolve(keyring);
    const result = await execa('gpgv', ['--keyring', keys, '--', file, path], {
      reject: false,
      stdin: 'ignore',
      env: { GNUPGHOME: folder, LC_ALL: 'C' },
      ...(signal ? { cancelSignal: signal } : {}),
    });
    throwIfAborted(signal);
    if (result.code === 'ENOENT') {
      throw toolMissing(
        'gpgv',
        'install it (Debian: gpgv, Fedora: gnupg2), or leave --keyring out',
        result,
      );
    }
    if (!result.failed) return;
    throw new IntegrityError(`the signature of ${path} is not good`, {
      code: 'SIGNATURE_BAD',
      context: { file: path, signature: signatureUrl, keyring: keys },
      hint: 'check the keyring (`gpg --export`), and that the file comes from where it should',
      cause: new Error(result.stderr.trim().slice(0, 2000)),
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function fetchSmall(url: string, signal: AbortSignal | undefined): Promise<Buffer> {
  checkUrl(url);
  const failed = (why: string, cause?: unknown) =>
    new IoError(`cannot fetch ${url}: ${why}`, {
      code: 'DOWNLOAD',
      context: { url },
      hint: 'check the location of the signature in the stream JSON',
      cause,
    });
  try {
    const response = await fetch(url, signal ? { signal } : {});
    if (!response.ok) throw failed(`the server says ${response.status}`);
    return await readBody(response, MAX_SIGNATURE, 'a signature');
  } catch (error) {
    throwIfAborted(signal);
    if (error instanceof RehydrateError) throw error;
    throw failed(error instanceof Error ? error.message : String(error), error);
  }
}
