import * as v from 'valibot';
import { BASE_NAMES } from '../../../images/platforms.ts';
import { TRUST_GRADES } from '../../bundle/trust.ts';
import { ARCHITECTURES } from '../../core/arch.ts';
import { sha256Field, sizeField, textField } from '../../core/json/fields.ts';
import { parseJson } from '../../core/json/parse.ts';
import { ATTESTATIONS, artifactIdFields } from '../../release/stream/artifacts.ts';
import { CELLS, type ORIGINS } from './origin-map.ts';

/**
 * The result of an audit: `audit.json`. `audit-report.schema.json` is generated from this schema. Sizes and
 * offsets in bytes, times in seconds. Later versions of the program only add members, or increase
 * `schemaVersion`.
 */
export const AUDIT_VERSION = 1;

/**
 * - GOOD: made from the bundle, and its SHA-256 is the promised one;
 * - BAD: it came out wrong, or cannot be made because the bundle is damaged;
 * - FAIL: it could not be tried (no engine, disk full, unknown codec), which says nothing about the bundle;
 * - UNCOVERED: the bundle says that it does not contain it.
 */
export const STATUSES = ['GOOD', 'BAD', 'FAIL', 'UNCOVERED'] as const;
export type Status = (typeof STATUSES)[number];

const secondsField = v.pipe(v.number(), v.minValue(0));
const dateField = v.pipe(v.string(), v.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/));
/** May have several lines, as from QEMU's console. */
const proseField = v.pipe(v.string(), v.maxLength(20_000));

const errorSchema = v.object({
  kind: textField(32),
  code: textField(64),
  message: proseField,
  hint: v.optional(proseField),
  causes: v.array(proseField),
});

const regionSchema = v.object({ start: sizeField, end: sizeField, words: textField(1024) });

const differenceSchema = v.object({
  firstOffset: sizeField,
  lastOffset: sizeField,
  /** How many bytes differ, including the length by which one file is longer. */
  bytes: sizeField,
  ourSize: sizeField,
  releasedSize: sizeField,
  /** A description of the region at the first one. */
  region: textField(1024),
  /** The first runs of differing bytes. */
  regions: v.array(regionSchema),
});

const mapSchema = v.object({
  of: v.picklist(['file', 'payload']),
  size: sizeField,
  totals: v.object({
    iso: sizeField,
    metal: sizeField,
    metal4k: sizeField,
    delta: sizeField,
    zeros: sizeField,
  } satisfies Record<(typeof ORIGINS)[number], unknown>),
  cells: v.pipe(v.string(), v.regex(new RegExp(`^[imkd.]{${CELLS}}$`))),
});

const artifactSchema = v.object({
  status: v.picklist(STATUSES),
  /** Short name, as accepted by `--platform`. */
  label: textField(256),
  ...artifactIdFields,
  release: textField(256),
  name: textField(256),
  /** The following are absent if it is uncovered. */
  size: v.optional(sizeField),
  sha256: v.optional(sha256Field),
  attestation: v.optional(v.picklist(ATTESTATIONS)),
  /** `iso`, `metal`, or the layers around it, outermost first: `splice < vmdk < metal`. */
  madeFrom: v.optional(textField(256)),
  /** Bytes of its delta and recipes in the bundle. */
  blobSize: v.optional(sizeField),
  /** Of the release, checked with the keyring; absent if it was not to be checked. */
  signature: v.optional(v.literal('good')),
  seconds: secondsField,
  map: v.optional(mapSchema),
  /** Why it is not GOOD. */
  error: v.optional(errorSchema),
  /** The size and hash of the wrong artifact. */
  found: v.optional(v.object({ sha256: sha256Field, size: sizeField })),
  /** Compared with the released file, if that was available. */
  difference: v.optional(differenceSchema),
  /** A command that shows the difference. */
  diffoscope: v.optional(proseField),
});

const engineSchema = v.object({
  engine: v.picklist(['qemu', 'native', 'both', 'files']),
  detail: proseField,
  seconds: v.record(v.string(), secondsField),
});

const blobFields = { sha256: sha256Field, size: sizeField };

const architectureSchema = v.object({
  architecture: v.picklist(ARCHITECTURES),
  release: textField(256),
  stream: textField(256),
  iso: v.object({ name: textField(256), ...blobFields, embedded: v.boolean() }),
  /** The disks that were made from the ISO for it. */
  disks: v.array(v.object({ base: v.picklist(BASE_NAMES), ...blobFields })),
  /** Absent if no disk was needed, or none could be made. */
  engine: v.optional(engineSchema),
  /** Labels of requested artifacts that were not judged: they need the ISO, and only a container was given. */
  leftOut: v.optional(v.array(textField(256))),
  /** The sizes of the bundle's contents for it. */
  composition: v.object({ iso: sizeField, deltas: sizeField, recipes: sizeField }),
  seconds: secondsField,
  artifacts: v.array(artifactSchema),
});

const countsSchema = v.object({
  GOOD: sizeField,
  BAD: sizeField,
  FAIL: sizeField,
  UNCOVERED: sizeField,
} satisfies Record<Status, unknown>);

const trustSchema = v.object({
  /** From the weakest to the strongest: the bundle itself, its pinned index, a signature, a stream of the user's. */
  grade: v.picklist(TRUST_GRADES),
  /** Stream or release JSON that the user trusts: each GOOD image is in one of them. */
  streams: v.array(v.object({ name: textField(4096), sha256: sha256Field })),
  /** The digest that the index was expected to have. */
  expected: v.optional(sha256Field),
  /** The program that verified a signature of the index. */
  verifiedBy: v.optional(textField(64)),
  /** The policy file that was applied. */
  policy: v.optional(v.object({ path: textField(4096), sha256: sha256Field })),
});

export const auditReportSchema = v.object({
  type: v.literal('audit'),
  schemaVersion: v.literal(AUDIT_VERSION),
  /** The worst status of all artifacts: BAD, then FAIL, then UNCOVERED. */
  verdict: v.picklist(STATUSES),
  counts: countsSchema,
  /** Versions of the programs and libraries involved. */
  tools: v.record(textField(64), textField(256)),
  bundle: v.object({
    path: textField(4096),
    /** SHA-256 of the image index over all architectures, which a signature of the bundle covers. */
    index: sha256Field,
  }),
  request: v.object({
    engine: v.picklist(['qemu', 'native', 'both', 'auto']),
    arches: v.array(textField(32)),
    platforms: v.array(textField(256)),
    formats: v.optional(v.array(textField(256))),
    /** Whether the released files were judged; absent if their contents were. */
    released: v.optional(v.literal(true)),
    /** SHA-256 of the keys that signatures were checked with. */
    keyring: v.optional(sha256Field),
    /** Which part of the job this is; absent for the whole job. */
    shard: v.optional(
      v.object({
        index: v.pipe(v.number(), v.integer(), v.minValue(1)),
        of: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(4096)),
      }),
    ),
    /** Who vouches for the digests that images are compared with; absent in reports of earlier versions. */
    trust: v.optional(trustSchema),
  }),
  /** UTC. */
  started: dateField,
  finished: dateField,
  architectures: v.array(architectureSchema),
});

export type AuditReport = v.InferOutput<typeof auditReportSchema>;
export type AuditedArchitecture = AuditReport['architectures'][number];
export type AuditedArtifact = AuditedArchitecture['artifacts'][number];
export type ReportedError = v.InferOutput<typeof errorSchema>;
export type ReportedDifference = v.InferOutput<typeof differenceSchema>;

/** Parses an `audit.json`. Throws FormatError with the JSON path. */
export function decodeAuditReport(bytes: Uint8Array, source: string): AuditReport {
  return parseJson(bytes, auditReportSchema, { what: 'audit report', source });
}
