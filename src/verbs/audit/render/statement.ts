import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { UsageError } from '../../../core/errors.ts';
import type { Sha256 } from '../../../core/io/digest.ts';
import type { AuditReport } from '../report.ts';

/** in-toto Attestation Framework v1, "Statement"; SLSA v1.1 "Verification Summary Attestation". */
const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
const PREDICATE_TYPE = 'https://slsa.dev/verification_summary/v1';
export const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
/** A package URL, since the verifier is a program; its `version` member has the details. */
const VERIFIER = 'pkg:npm/iso-rehydrate';

export interface Statement {
  readonly _type: typeof STATEMENT_TYPE;
  readonly subject: readonly {
    readonly name: string;
    readonly digest: { readonly sha256: string };
  }[];
  readonly predicateType: typeof PREDICATE_TYPE;
  readonly predicate: Readonly<Record<string, unknown>>;
}

export interface StatementOptions {
  /** Hash of the audit.json that the statement is made from. */
  readonly report: Sha256;
  /** Hashes of the shards' signed statements, if their reports were merged. */
  readonly inputs?: readonly Sha256[] | undefined;
}

/**
 * The audit for machines. Its subjects are the bundle's index and every GOOD artifact. It has PASSED if
 * every requested artifact is GOOD. No build was verified, hence no SLSA build level.
 */
export function statementOf(
  report: AuditReport,
  { report: sha256, inputs = [] }: StatementOptions,
): Statement {
  const { architectures, bundle, verdict, finished, tools, counts, request } = report;
  const good = architectures.flatMap(({ architecture, artifacts }) =>
    artifacts.flatMap(({ status, name, sha256 }) =>
      status === 'GOOD' && sha256 ? [{ name, digest: { sha256 }, architecture }] : [],
    ),
  );
  return {
    _type: STATEMENT_TYPE,
    subject: [
      { name: 'bundle', digest: { sha256: bundle.index } },
      ...good.map(({ name, digest }) => ({ name, digest })),
    ],
    predicateType: PREDICATE_TYPE,
    predicate: {
      verifier: { id: VERIFIER, version: tools },
      timeVerified: finished.replace(/\.\d+Z$/, 'Z'),
      resourceUri: `oci:sha256:${bundle.index}`,
      policy: policyOf(request.trust),
      inputAttestations: inputs.map((input) => ({ digest: { sha256: input } })),
      verificationResult: verdict === 'GOOD' ? 'PASSED' : 'FAILED',
      verifiedLevels: [],
      slsaVersion: '1.1',
      'iso-rehydrate': { verdict, counts, request, report: { sha256 } },
    },
  };
}

/** The policy file, or its substitute. */
function policyOf(trust: AuditReport['request']['trust']): Readonly<Record<string, unknown>> {
  if (trust?.policy) {
    const { path, sha256 } = trust.policy;
    return { uri: pathToFileURL(path).href, digest: { sha256 } };
  }
  const grade = trust?.grade ?? 'bundle';
  return { uri: `${VERIFIER}#audit${grade === 'bundle' ? '' : `-by-${grade}`}` };
}

/** DSSE v1.0.2: an envelope around the statement's bytes. */
export interface Envelope {
  readonly payloadType: typeof PAYLOAD_TYPE;
  /** Base64. */
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

/** The bytes to sign: DSSE's pre-authentication encoding. */
export function preAuthentication(payload: Uint8Array): Buffer {
  const type = Buffer.from(PAYLOAD_TYPE);
  const head = `DSSEv1 ${type.length} ${PAYLOAD_TYPE} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** Throws UsageError `SIGN_KEY` unless `pem` is an unencrypted private key in PEM. */
export function signingKeyOf(pem: string | Buffer): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new UsageError('the signing key cannot be used', {
      code: 'SIGN_KEY',
      hint: 'name an unencrypted private key in PEM with --sign-key, such as `openssl genpkey -algorithm ed25519` makes',
      cause,
    });
  }
}

/** Signs with Ed25519, ECDSA or RSA (the latter with SHA-256). */
export function signStatement(statement: Statement, pem: string | Buffer): Envelope {
  const key = signingKeyOf(pem);
  const payload = Buffer.from(JSON.stringify(statement));
  const algorithm = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const sig = sign(algorithm, preAuthentication(payload), key).toString('base64');
  const signatures = [{ keyid: '', sig }];
  return { payloadType: PAYLOAD_TYPE, payload: payload.toString('base64'), signatures };
}
