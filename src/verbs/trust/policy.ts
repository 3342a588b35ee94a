import { dirname, isAbsolute, join } from 'node:path';
import * as v from 'valibot';
import { UsageError } from '../../core/errors.ts';
import { type Sha256, sha256Of } from '../../core/io/digest.ts';
import { readWhole } from '../../core/io/regular.ts';
import { textField } from '../../core/json/fields.ts';
import { parseJson } from '../../core/json/parse.ts';

/** The kinds of trust that a rule may require. */
export const TRUST_KINDS = ['trust', 'expect', 'verify'] as const;
export type TrustKind = (typeof TRUST_KINDS)[number];

export const VERIFIERS = ['notation', 'cosign'] as const;
export type Verifier = (typeof VERIFIERS)[number];

const ruleSchema = v.strictObject({
  /** A reference or a path of a bundle; `*` stands for any characters. */
  reference: v.pipe(textField(1024), v.minLength(1, 'expected a pattern')),
  /** Kinds of trust that the command line or this rule must supply. */
  require: v.optional(v.pipe(v.array(v.picklist(TRUST_KINDS)), v.maxLength(8)), []),
  /** Stream or release JSON: paths, relative to the policy, or https URLs. */
  trust: v.optional(v.pipe(v.array(textField(4096)), v.maxLength(64)), []),
  /** `sha256:…` of the index. */
  expect: v.optional(
    v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 hex digits')),
  ),
  verify: v.optional(v.picklist(VERIFIERS)),
  /** For cosign: a file with a public key. */
  verifyKey: v.optional(textField(4096)),
});

/** `trust.json`. Unknown members are refused, so that a typo cannot weaken a policy. */
const policySchema = v.strictObject({
  schemaVersion: v.literal(1),
  /** The first rule that matches applies. */
  rules: v.pipe(v.array(ruleSchema), v.maxLength(256)),
});

export type PolicyRule = v.InferOutput<typeof ruleSchema>;

export interface Policy {
  readonly path: string;
  readonly sha256: Sha256;
  readonly rules: readonly PolicyRule[];
}

const MAX_POLICY = 1 << 20;

/** Reads a policy. Throws FormatError with the JSON path, and errors of the file system. */
export async function readPolicy(path: string, signal?: AbortSignal): Promise<Policy> {
  const bytes = await readWhole(path, {
    limit: MAX_POLICY,
    what: 'the trust policy',
    hint: 'name a trust.json with --policy',
    signal,
  });
  const { rules } = parseJson(bytes, policySchema, { what: 'trust policy', source: path });
  const beside = (name: string) =>
    isAbsolute(name) || /^[a-z]+:\/\//i.test(name) ? name : join(dirname(path), name);
  return {
    path,
    sha256: sha256Of(bytes),
    rules: rules.map((rule) => ({
      ...rule,
      trust: rule.trust.map(beside),
      ...(rule.verifyKey === undefined ? {} : { verifyKey: beside(rule.verifyKey) }),
    })),
  };
}

/** The first rule for a bundle, by its reference or its path. */
export function ruleFor({ rules }: Policy, bundle: string): PolicyRule | undefined {
  return rules.find(({ reference }) => {
    const parts = reference.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
    return new RegExp(`^${parts.join('.*')}$`, 's').test(bundle);
  });
}

/** Throws UsageError `TRUST_REQUIRED` if a kind of trust that a rule requires is missing. */
export function refuseLacking(
  { path }: Policy,
  { require, reference }: PolicyRule,
  there: Readonly<Record<TrustKind, boolean>>,
): void {
  const lacking = require.filter((kind) => !there[kind]);
  const [first] = lacking;
  if (first === undefined) return;
  throw new UsageError(
    `the trust policy requires ${lacking.map((kind) => `--${kind}`).join(' and ')} for this bundle`,
    {
      code: 'TRUST_REQUIRED',
      context: { policy: path, rule: reference },
      hint: HINTS[first],
    },
  );
}

const HINTS: Readonly<Record<TrustKind, string>> = {
  trust: 'name a stream JSON that you got from a source of your own with --trust',
  expect: 'name the digest of the index with --expect sha256:…',
  verify: 'name the program that verifies its signature: --verify notation or --verify cosign',
};
