import { NO_TRUST, type Trust } from '../../bundle/trust.ts';
import { IntegrityError, UsageError } from '../../core/errors.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import { type Policy, type PolicyRule, refuseLacking, ruleFor, type Verifier } from './policy.ts';
import { type ReadOptions, readTrusted } from './sources.ts';
import { verifySignature } from './verify.ts';

/** Requirements that a bundle must meet before it is trusted. */
export interface TrustRequest {
  /** Files or https URLs of stream or release JSON. */
  readonly trust: readonly string[];
  readonly expect?: Sha256 | undefined;
  readonly verify?: Verifier | undefined;
  /** For cosign: a public key. */
  readonly verifyKey?: string | undefined;
  readonly policy?: Policy | undefined;
}

/** The result of all checks that come before the bundle is read. */
export interface Vetted {
  readonly trust: Trust;
  /** The digest that its index must have. */
  readonly digest: Sha256 | undefined;
}

/**
 * Applies the policy, reads the trusted streams, and has the signature verified: everything that can be checked before
 * any part of the bundle is read. `name` is the bundle's reference in a registry, or its path. Throws UsageError
 * `TRUST_REQUIRED`, IntegrityError `TRUST_SIGNATURE` or `TRUST_INDEX`, and the errors of the sources.
 */
export async function vet(
  request: TrustRequest,
  { name, inRegistry }: { readonly name: string; readonly inRegistry: boolean },
  options: ReadOptions,
): Promise<Vetted> {
  const { policy } = request;
  const rule: PolicyRule | undefined = policy && ruleFor(policy, name);
  const sources = [...new Set([...request.trust, ...(rule?.trust ?? [])])];
  const verify = request.verify ?? rule?.verify;
  const ofRule = rule?.expect?.slice('sha256:'.length) as Sha256 | undefined;
  const expected = request.expect ?? ofRule;
  if (ofRule !== undefined && expected !== ofRule) throw otherIndex(ofRule, expected ?? '', policy);
  if (policy && rule) {
    const there = {
      trust: sources.length > 0,
      expect: expected !== undefined,
      verify: verify !== undefined,
    };
    refuseLacking(policy, rule, there);
  }
  if (verify !== undefined && !inRegistry) {
    throw new UsageError(`--verify needs a bundle in a registry: ${name} is a path`, {
      code: 'TRUST_VERIFY',
      hint: 'name the bundle by its reference, or verify the folder first (notation verify --oci-layout)',
    });
  }
  const streams = [];
  for (const source of sources) streams.push(await readTrusted(source, options));
  const key = request.verifyKey ?? rule?.verifyKey;
  const signed = verify && (await verifySignature(verify, name, { key, signal: options.signal }));
  if (signed !== undefined && expected !== undefined) checkIndex(signed, expected);
  return {
    trust: {
      ...NO_TRUST,
      streams,
      expected,
      verifiedBy: verify,
      policy: policy && rule ? { path: policy.path, sha256: policy.sha256 } : undefined,
    },
    digest: signed ?? expected,
  };
}

/** Throws IntegrityError `TRUST_INDEX` if a bundle is not the expected one. */
export function checkIndex(found: Sha256, expected: Sha256 | undefined): void {
  if (expected === undefined || found === expected) return;
  throw otherIndex(expected, found);
}

function otherIndex(expected: Sha256, found: string, policy?: Policy): IntegrityError {
  return new IntegrityError(
    'the bundle is not the expected one: its index has a different digest',
    {
      code: 'TRUST_INDEX',
      context: {
        expected: `sha256:${expected}`,
        found: `sha256:${found}`,
        ...(policy ? { policy: policy.path } : {}),
      },
      hint: 'do not use this bundle, unless you know why it has changed',
    },
  );
}
