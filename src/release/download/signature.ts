import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import {
  FormatError,
  IntegrityError,
  ToolError,
  throwIfAborted,
  toolMissing,
  UsageError,
} from '../../core/errors.ts';
import { osError } from '../../core/io/os-error.ts';
import { makeScratch, reclaimScratch } from '../../core/io/scratch.ts';
import type { Sink } from '../../core/io/sink.ts';
import { zeroChunks } from '../../core/io/zero.ts';
import { type FoundSignature, parseGpgvStatus } from './gpgv-status.ts';

/** Detached signatures take a few hundred bytes per key. */
export const MAX_SIGNATURE = 1 << 20;

/** Keys to check signatures with. */
export interface Keys {
  /** As {@link readKeyring} gives them. */
  readonly keys: Buffer;
  /** Fingerprints, or the ends of some, of keys that may be expired or revoked. */
  readonly acceptKeys?: readonly string[] | undefined;
}

export interface SignatureOptions extends Keys {
  /** The file that is signed: a path, or a name for messages if its bytes are written. */
  readonly path: string;
  readonly signature: Uint8Array;
  /** Where that comes from, for messages. */
  readonly signatureUrl: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Has gpgv(1) check a detached signature of a file: a good one by any key of the keyring will do, if
 * there is no bad one beside it. Throws IntegrityError `SIGNATURE_BAD` if the file is not what was signed,
 * `SIGNATURE_EXPIRED`, `SIGNATURE_REVOKED` or `SIGNATURE_KEY` if the signature proves nothing, FormatError
 * `SIGNATURE_FORMAT`, ToolError `TOOL_MISSING` or `TOOL_FAILED`.
 */
export async function checkSignature(options: SignatureOptions): Promise<void> {
  await using gpgv = await startGpgv(options, resolve(options.path));
  await gpgv.finish();
}

/** Checks a signature of bytes that are written, front to back. Dispose of it, whether it is finished or not. */
export interface SignatureCheck extends Sink, AsyncDisposable {
  /** After the last byte. Throws as {@link checkSignature} does. */
  finish(): Promise<void>;
}

/** Like {@link checkSignature}, for bytes that are not in a file. Writing never throws: `finish` reports errors. */
export function openSignatureCheck(options: SignatureOptions): Promise<SignatureCheck> {
  return startGpgv(options, '-');
}

async function startGpgv(options: SignatureOptions, data: string): Promise<SignatureCheck> {
  const { path, signature, signatureUrl, keys, acceptKeys = [], signal } = options;
  const prefix = join(tmpdir(), 'iso-rehydrate-gpgv-');
  await reclaimScratch(prefix);
  const scratch = await makeScratch(prefix);
  const stop = new AbortController();
  const { path: folder } = scratch;
  const [file, keyring] = [join(folder, 'signature'), join(folder, 'keys')];
  try {
    await writeFile(file, signature, { flag: 'wx' });
    await writeFile(keyring, keys, { flag: 'wx' });
  } catch (error) {
    await scratch[Symbol.asyncDispose]();
    throw osError(error, 'write', folder);
  }
  const argv = ['--status-fd', '1', '--keyring', keyring, '--', file, data];
  const gpgv = execa('gpgv', argv, {
    reject: false,
    stdin: data === '-' ? 'pipe' : 'ignore',
    maxBuffer: 1 << 20,
    env: { GNUPGHOME: folder, LC_ALL: 'C' },
    cancelSignal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
  });
  const input = gpgv.stdin;
  // gpgv stops reading early if it cannot check the input, and its exit says why.
  input?.on('error', () => {});
  async function write(chunk: Uint8Array): Promise<void> {
    if (!input || input.destroyed || !input.writable) return;
    if (input.write(Buffer.from(chunk))) return;
    await Promise.race([once(input, 'drain').catch(() => {}), gpgv]);
  }
  return {
    write,
    async zeros(length) {
      for (const chunk of zeroChunks(length)) await write(chunk);
    },
    async finish() {
      input?.end();
      const result = await gpgv;
      throwIfAborted(signal);
      if (result.code === 'ENOENT') {
        throw toolMissing(
          'gpgv',
          'install it (Debian: gpgv, Fedora: gnupg2), or leave --keyring out',
          result,
        );
      }
      const found = parseGpgvStatus(result.stdout);
      const said = result.stderr.trim().slice(0, 2000);
      const isEnded = result.exitCode === 0 || found.length > 0 || /NODATA/.test(result.stdout);
      if (!isEnded || result.isMaxBuffer) {
        throw new ToolError(`gpgv failed: ${result.shortMessage?.split('\n')[0]}`, {
          code: 'TOOL_FAILED',
          context: { file: path, signature: signatureUrl },
          hint: 'run gpgv by hand to see why, or leave --keyring out',
          cause: new Error(said),
        });
      }
      judge(found, result.exitCode, { acceptKeys, path, signatureUrl, said });
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await gpgv;
      await scratch[Symbol.asyncDispose]();
    },
  };
}

interface JudgeOptions {
  readonly acceptKeys: readonly string[];
  readonly path: string;
  readonly signatureUrl: string;
  readonly said: string;
}

function judge(
  found: readonly FoundSignature[],
  exitCode: number | undefined,
  { acceptKeys, path, signatureUrl, said }: JudgeOptions,
): void {
  const context = { file: path, signature: signatureUrl };
  const cause = new Error(said);
  const first = (state: FoundSignature['state']) => found.find((one) => one.state === state);
  if (first('bad')) {
    throw new IntegrityError(`${path} is not the file that was signed`, {
      code: 'SIGNATURE_BAD',
      context,
      hint: 'fetch the file again from its original source',
      cause,
    });
  }
  const isAccepted = ({ keys }: FoundSignature) =>
    keys.some((key) => acceptKeys.some((accepted) => key.endsWith(accepted)));
  const aged = (['revoked-key', 'expired-key', 'expired-signature'] as const).flatMap(
    (state) => first(state) ?? [],
  );
  const unknown = first('no-key') ?? first('unchecked');
  // A signature by another key beside a good one makes gpgv fail, too.
  const isDone = exitCode === 0 || unknown !== undefined;
  if (isDone && (first('good') || aged.some(isAccepted))) return;
  const [worst] = aged;
  if (worst) {
    const key = worst.keys.at(-1);
    const [code, why] =
      worst.state === 'revoked-key'
        ? (['SIGNATURE_REVOKED', `its key ${key} is revoked`] as const)
        : worst.state === 'expired-key'
          ? (['SIGNATURE_EXPIRED', `its key ${key} has expired`] as const)
          : (['SIGNATURE_EXPIRED', `the signature by ${key} has expired`] as const);
    throw new IntegrityError(`the signature of ${path} is not good: ${why}`, {
      code,
      context: { ...context, key },
      hint: `get current keys, or accept this one with --accept-key ${key}`,
      cause,
    });
  }
  if (unknown) {
    throw new IntegrityError(`the signature of ${path} cannot be checked`, {
      code: 'SIGNATURE_KEY',
      context: { ...context, key: unknown.keys.at(-1) },
      hint: 'name a --keyring that has this key',
      cause,
    });
  }
  throw new FormatError(`${signatureUrl} is not an OpenPGP signature`, {
    code: 'SIGNATURE_FORMAT',
    context,
    hint: 'check the location of the signature in the stream JSON',
    cause,
  });
}

/** A fingerprint, or a key ID of 16 digits, as people write them. Throws UsageError `ACCEPT_KEY`. */
export function parseFingerprint(text: string): string {
  const digits = text.replace(/^0x|\s/gi, '').toUpperCase();
  if (/^[0-9A-F]{16,64}$/.test(digits)) return digits;
  throw new UsageError(`${text} is not the fingerprint of a key`, {
    code: 'ACCEPT_KEY',
    hint: 'give all digits of it, as `gpg --list-keys` prints them',
  });
}
