import { execa } from 'execa';
import { IntegrityError, toolMissing } from '../../core/errors.ts';
import { isSha256, type Sha256 } from '../../core/io/digest.ts';
import { printable } from '../../core/text/printable.ts';
import type { Verifier } from './policy.ts';

/** Milliseconds; a verification takes seconds, even if it has to ask a registry. */
const TIME = 300_000;

/**
 * Runs notation or cosign to verify the signature of a bundle in a registry, and resolves to the digest of the signed
 * index. Throws IntegrityError `TRUST_SIGNATURE`, ToolError `TOOL_MISSING`.
 */
export async function verifySignature(
  tool: Verifier,
  reference: string,
  { key, signal }: { readonly key?: string | undefined; readonly signal?: AbortSignal | undefined },
): Promise<Sha256> {
  const argv =
    tool === 'notation'
      ? ['verify', reference]
      : ['verify', '--output', 'json', ...(key === undefined ? [] : ['--key', key]), reference];
  const result = await execa(tool, argv, {
    reject: false,
    stdin: 'ignore',
    timeout: TIME,
    maxBuffer: 16 << 20,
    ...(signal ? { cancelSignal: signal } : {}),
  });
  if (result.code === 'ENOENT') {
    throw toolMissing(tool, 'install it, or leave --verify out', result);
  }
  const digest = result.exitCode === 0 ? DIGESTS[tool](result.stdout) : undefined;
  if (digest !== undefined && isSha256(digest)) return digest;
  throw new IntegrityError(`${tool} found no valid signature of ${reference}`, {
    code: 'TRUST_SIGNATURE',
    context: { reference, [tool]: printable(result.stderr || result.stdout).slice(-2000) },
    hint: `check the trust settings of ${tool}; otherwise do not use this bundle`,
  });
}

/** Reads the verified digest from each program's output. */
export const DIGESTS: Readonly<Record<Verifier, (stdout: string) => string | undefined>> = {
  notation: (stdout) =>
    /^Successfully verified signature for \S+@sha256:([0-9a-f]{64})$/m.exec(stdout)?.[1],
  cosign(stdout) {
    const found = new Set(
      [...stdout.matchAll(/"docker-manifest-digest"\s*:\s*"sha256:([0-9a-f]{64})"/g)].map(
        ([, digest]) => digest,
      ),
    );
    return found.size === 1 ? [...found][0] : undefined;
  },
};
