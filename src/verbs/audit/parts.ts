import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as v from 'valibot';
import type { Bundle } from '../../bundle/read.ts';
import { baseOf, type RecipeArtifact, type Recipes } from '../../bundle/recipes.ts';
import { type ArchWork, chooseWork } from '../../bundle/work.ts';
import { isArch } from '../../core/arch.ts';
import { FormatError, IntegrityError, RehydrateError, UsageError } from '../../core/errors.ts';
import { type Sha256, sha256Of } from '../../core/io/digest.ts';
import { readWhole } from '../../core/io/regular.ts';
import { parseJson } from '../../core/json/parse.ts';
import { silent } from '../../core/progress/progress.ts';
import { idText, shortName } from '../../release/stream/artifacts.ts';
import { fileOf, type MadeFile } from '../make/made-file.ts';
import type { NamedReport } from './merge.ts';
import { PAYLOAD_TYPE, preAuthentication, statementOf } from './render/statement.ts';
import { type AuditedArchitecture, type AuditReport, decodeAuditReport } from './report.ts';
import { countStatuses, worstOf } from './verdict.ts';
import { REPORT_FILES } from './write-report.ts';

/** The report of a shard, as it was read. */
export interface Part extends NamedReport {
  /** Hash of its audit.json. */
  readonly sha256: Sha256;
  /** Its audit.intoto.dsse.json, if there is one. */
  readonly envelope: Buffer | undefined;
}

/** In bytes. Far more than a report over all images takes. */
const MAX_REPORT = 64 << 20;

export async function readPart(folder: string, signal?: AbortSignal): Promise<Part> {
  const path = join(folder, REPORT_FILES.json);
  const bytes = await readWhole(path, { limit: MAX_REPORT, what: 'an audit report', signal });
  const envelope = await readWhole(join(folder, REPORT_FILES.envelope), {
    limit: MAX_REPORT,
    what: 'a signed statement',
    signal,
  }).catch((error: unknown) => {
    if (error instanceof RehydrateError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  });
  const report = decodeAuditReport(bytes, path);
  return { source: folder, report, sha256: sha256Of(bytes), envelope };
}

/**
 * Checks that a report judges exactly the artifacts that its bundle has for its request and shard, each
 * once and by the digest that the bundle records. Throws IntegrityError `AUDIT_PLAN` or `AUDIT_BUNDLES`.
 */
export function checkPlan({ source, report }: NamedReport, bundle: Bundle): void {
  if (report.bundle.index !== bundle.digest) {
    throw new IntegrityError(`${source} audits a different bundle from ${bundle.path}`, {
      code: 'AUDIT_BUNDLES',
      context: { expected: bundle.digest, found: report.bundle.index },
      hint: 'name the bundle that was audited with --bundle',
    });
  }
  const fail = (what: string, cause?: unknown) =>
    new IntegrityError(`${source} does not match the bundle: ${what}`, {
      code: 'AUDIT_PLAN',
      context: { report: source, bundle: bundle.path },
      hint: 'audit this shard again',
      ...(cause === undefined ? {} : { cause }),
    });
  const planned = planOf(report, bundle, fail);
  const names = (list: readonly string[]) => list.join(', ');
  const wanted = names(planned.map(({ recipes }) => recipes.architecture));
  const found = names(report.architectures.map(({ architecture }) => architecture));
  if (found !== wanted) throw fail(`its architectures are ${found || 'none'}, not ${wanted}`);
  for (const [index, work] of planned.entries()) {
    const audited = report.architectures[index];
    if (audited) checkArch(audited, work, report.request, fail);
  }
  const counts = countStatuses(report.architectures);
  const isSummed = JSON.stringify(counts) === JSON.stringify(report.counts);
  if (!isSummed || report.verdict !== worstOf(counts)) throw fail('its totals are wrong');
}

type Fail = (what: string, cause?: unknown) => IntegrityError;

function planOf({ request }: AuditReport, bundle: Bundle, fail: Fail): readonly ArchWork[] {
  const { arches, platforms, formats, shard } = request;
  const known = arches.filter(isArch);
  const isAll = arches.length === 1 && arches[0] === 'all';
  if (!isAll && known.length !== arches.length) throw fail('it names unknown architectures');
  const selection = { platforms, ...(formats ? { formats } : {}) };
  try {
    const asked = { bundle, arches: isAll ? ('all' as const) : known, selection, shard };
    return chooseWork(asked, silent).architectures;
  } catch (error) {
    throw fail('the bundle lacks what was requested', error);
  }
}

function checkArch(
  audited: AuditedArchitecture,
  work: ArchWork,
  request: AuditReport['request'],
  fail: Fail,
): void {
  const { recipes, uncovered } = work;
  const { architecture } = recipes;
  const artifacts = work.artifacts.filter((artifact) => !isLeftOut(artifact, recipes, audited));
  const { iso, disks, release, stream } = audited;
  const isSame =
    release === recipes.release &&
    stream === recipes.stream.name &&
    iso.sha256 === recipes.iso.sha256 &&
    disks.every(({ base, sha256 }) => base !== 'iso' && recipes.bases[base]?.sha256 === sha256);
  if (!isSame) throw fail(`${architecture} is of another release`);
  if (audited.artifacts.length !== artifacts.length + uncovered.length) {
    throw fail(`${architecture} has ${audited.artifacts.length} artifacts`);
  }
  for (const [index, artifact] of audited.artifacts.entries()) {
    const promised = artifacts[index] && fileOf(artifacts[index], request);
    const other = artifacts[index] ?? uncovered[index - artifacts.length];
    const isListed =
      other !== undefined &&
      idText(other) === idText(artifact) &&
      (promised ?? other).name === artifact.name &&
      other.release === artifact.release;
    const isPromised = promised
      ? (artifact.status !== 'UNCOVERED' || !isCovered(promised)) &&
        artifact.sha256 === promised.sha256 &&
        artifact.size === promised.size &&
        artifact.attestation === promised.attestation
      : artifact.status === 'UNCOVERED';
    if (!isListed || !isPromised) throw fail(`${architecture} ${idText(artifact)}`);
  }
}

/** Without the ISO, an audit names the artifacts that it leaves out; these can only be ones made from the ISO itself. */
const isLeftOut = (artifact: RecipeArtifact, recipes: Recipes, { leftOut }: AuditedArchitecture) =>
  baseOf(artifact) === 'iso' && leftOut?.includes(shortName(artifact, recipes.artifacts)) === true;

/** A released file may not be covered though its contents are. */
const isCovered = ({ compressed, layer }: MadeFile) => !compressed || layer !== undefined;

const envelopeSchema = v.object({
  payloadType: v.literal(PAYLOAD_TYPE),
  payload: v.pipe(v.string(), v.base64()),
  signatures: v.pipe(
    v.array(v.object({ sig: v.pipe(v.string(), v.base64()) })),
    v.minLength(1),
    v.maxLength(16),
  ),
});

const KEY_TYPES: ReadonlySet<string | undefined> = new Set(['ed25519', 'ec', 'rsa']);

/** Public keys in PEM, or private ones, whose public half is used. Throws UsageError `SIGN_KEY`. */
export function publicKey(pem: Buffer): KeyObject {
  try {
    const key = createPublicKey(pem);
    if (KEY_TYPES.has(key.asymmetricKeyType)) return key;
    throw new Error(`keys of type ${key.asymmetricKeyType} do not sign`);
  } catch (cause) {
    throw new UsageError('the key of the parts cannot be used', {
      code: 'SIGN_KEY',
      hint: 'name a public key in PEM, such as `openssl pkey -in key.pem -pubout` prints',
      cause,
    });
  }
}

/**
 * Checks that a part is signed by one of these keys, as a whole: its statement has the digest of its audit.json.
 * Throws IntegrityError `AUDIT_UNSIGNED`.
 */
export function checkSigned(
  { source, report, sha256, envelope }: Part,
  keys: readonly KeyObject[],
) {
  const fail = (what: string, cause?: unknown) =>
    new IntegrityError(`${source} ${what}`, {
      code: 'AUDIT_UNSIGNED',
      context: { report: source },
      hint: 'audit this shard with --sign-key, and name its public key with --part-key',
      ...(cause === undefined ? {} : { cause }),
    });
  if (envelope === undefined) throw fail('is not signed, so it cannot be part of a signed report');
  const { payload, signatures } = decodeEnvelope(envelope, source, fail);
  const isSigned = keys.some((key) =>
    signatures.some(({ sig }) => {
      const algorithm = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
      return verify(algorithm, preAuthentication(payload), key, Buffer.from(sig, 'base64'));
    }),
  );
  if (!isSigned) throw fail('is not signed by any of these keys');
  const expected: unknown = JSON.parse(JSON.stringify(statementOf(report, { report: sha256 })));
  if (!isDeepStrictEqual(parsed(payload), expected))
    throw fail('holds a different report from the one that was signed');
}

/** Parses the envelope after its signature was checked; invalid JSON is an invalid signature. */
function parsed(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString());
  } catch {
    return undefined;
  }
}

function decodeEnvelope(
  bytes: Buffer,
  source: string,
  fail: (what: string, cause?: unknown) => IntegrityError,
) {
  try {
    const what = { what: 'DSSE envelope', source: join(source, REPORT_FILES.envelope) };
    const { payload, signatures } = parseJson(bytes, envelopeSchema, what);
    return { payload: Buffer.from(payload, 'base64'), signatures };
  } catch (error) {
    if (error instanceof FormatError) throw fail('has no signature that can be read', error);
    throw error;
  }
}
