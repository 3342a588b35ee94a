import * as v from 'valibot';
import { BASE_NAMES, CONTAINERS, expectedImage } from '../../../images/platforms.ts';
import { DEFAULT_RELEASED } from '../../bundle/released-layer.ts';
import type { ReleasedKind } from '../../codec/released/layer.ts';
import { ARCHITECTURES, type Arch, isArch } from '../../core/arch.ts';
import { RehydrateError } from '../../core/errors.ts';
import { sha256Field, sizeField, textField } from '../../core/json/fields.ts';
import { openRootImageIso } from '../../formats/iso/root-image.ts';
import { findReleased } from '../../release/files/released.ts';
import {
  ATTESTATIONS,
  artifactIdFields,
  isoArtifact,
  listArtifacts,
  plainFormat,
  type StreamArtifact,
  shortName,
} from '../../release/stream/artifacts.ts';
import { COMPRESSIONS } from '../../release/stream/names.ts';
import type { Stream } from '../../release/stream/schema.ts';
import { type ContainersEstimate, estimateLacking, lackingSchema } from './lacking.ts';

export const ESTIMATE_VERSION = 1;

/**
 * How an artifact would be covered, judged by its name; `dehydrate` judges by its bytes:
 * - `iso`: it is the ISO; `regenerated`: the ISO unpacks to it, and its file is not needed if it has an osmet;
 * - `delta`: base + delta; `container`: base + delta, with its container rebuilt around it;
 * - `encrypted`: its delta will be nearly as large as the image;
 * - `unknown`: an unknown platform; it will be covered as a delta, with or without its container;
 * - `uncovered`: it cannot be covered, for the reason in `note`.
 */
export const COVERAGES = [
  'iso',
  'regenerated',
  'delta',
  'container',
  'encrypted',
  'unknown',
  'uncovered',
] as const;

const artifactSchema = v.object({
  label: textField(256),
  ...artifactIdFields,
  release: textField(256),
  name: textField(256),
  how: v.picklist(COVERAGES),
  base: v.optional(v.picklist(BASE_NAMES)),
  /** The expected container; absent for an unknown platform. */
  container: v.optional(v.picklist(CONTAINERS)),
  attestation: v.picklist(ATTESTATIONS),
  /** Why it is uncovered, or another remark. */
  note: v.optional(textField(1024)),
  released: v.object({
    name: textField(256),
    location: textField(4096),
    signature: v.optional(textField(4096)),
    sha256: sha256Field,
    /** In bytes, if the metadata has it. */
    size: v.optional(sizeField),
    compression: v.picklist([...COMPRESSIONS, 'none']),
  }),
  /** `at-hand` if it is in the folder, `fetch` if it must be downloaded, `not-needed` otherwise. */
  fileAt: v.picklist(['at-hand', 'fetch', 'not-needed']),
});

/** `estimate --json`; published as `estimate.schema.json`. */
export const estimateSchema = v.object({
  type: v.literal('estimate'),
  schemaVersion: v.literal(ESTIMATE_VERSION),
  stream: textField(256),
  architectures: v.array(
    v.object({
      architecture: v.picklist(ARCHITECTURES),
      /** Release of the live ISO; absent if there is none. */
      release: v.optional(textField(256)),
      covered: v.pipe(v.number(), v.integer()),
      uncovered: v.pipe(v.number(), v.integer()),
      fetch: v.pipe(v.number(), v.integer()),
      /** With containers: how many files of the ISO there are, and which of them a container lacks. */
      files: v.optional(lackingSchema),
      artifacts: v.array(artifactSchema),
    }),
  ),
  /** Architectures of the stream that this program does not know. */
  unknownArchitectures: v.array(textField(256)),
});

export type Estimate = v.InferOutput<typeof estimateSchema>;
export type EstimatedArtifact = v.InferOutput<typeof artifactSchema>;

export interface EstimateOptions {
  /** Undefined or `all`: every architecture of the stream. */
  readonly arches?: readonly Arch[] | 'all' | undefined;
  /** Folder that may already hold released files. */
  readonly folder?: string | undefined;
  /** Kinds of compression that dehydrate is told to try; its default if undefined. */
  readonly released?: readonly ReleasedKind[] | undefined;
  /** Container images that can replace the ISO: their files are compared with the ISO's. */
  readonly files?: ContainersEstimate | undefined;
}

/**
 * Previews what dehydrate would do with every artifact of a stream. Downloads no released file, and reads none but the
 * headers of the ISO; with `files`, all files in the ISO and in the containers.
 */
export async function estimate(
  stream: Stream,
  { arches, folder, released = DEFAULT_RELEASED, files }: EstimateOptions = {},
): Promise<Estimate> {
  const names = Object.keys(stream.architectures).sort();
  const wanted =
    arches === undefined || arches === 'all' ? names.filter(isArch) : [...new Set(arches)];
  const architectures: Estimate['architectures'] = [];
  for (const arch of wanted)
    architectures.push(await estimateArch(stream, arch, { folder, released, files }));
  return {
    type: 'estimate',
    schemaVersion: ESTIMATE_VERSION,
    stream: stream.stream,
    architectures,
    unknownArchitectures: names.filter((name) => !isArch(name)),
  };
}

interface EstimateContext {
  readonly folder: string | undefined;
  readonly released: readonly ReleasedKind[];
  readonly files: ContainersEstimate | undefined;
}

async function estimateArch(
  stream: Stream,
  arch: Arch,
  context: EstimateContext,
): Promise<Estimate['architectures'][number]> {
  const { folder, files } = context;
  const list = listArtifacts(stream, arch);
  const iso = isoOrReason(list, arch);
  const bare = typeof iso !== 'string' && (await hasNoOsmet(iso, folder));
  const lacking =
    files && typeof iso !== 'string' ? await estimateLacking(arch, iso, folder, files) : undefined;
  const artifacts: EstimatedArtifact[] = [];
  for (const artifact of list) {
    const label = shortName(artifact, list);
    const one = await estimateOne(artifact, label, iso, context);
    artifacts.push(bare && one.how === 'regenerated' ? fromFiles(one) : one);
  }
  const uncovered = artifacts.filter(({ how }) => how === 'uncovered').length;
  return {
    architecture: arch,
    ...(typeof iso === 'string' ? {} : { release: iso.release }),
    covered: artifacts.length - uncovered,
    uncovered,
    fetch: artifacts.filter(({ fileAt }) => fileAt === 'fetch').length,
    ...(lacking === undefined ? {} : { files: lacking }),
    artifacts,
  };
}

/** Whether the ISO is available and has a root image, but nothing that turns it into a disk. */
async function hasNoOsmet(iso: StreamArtifact, folder: string | undefined): Promise<boolean> {
  const found = folder === undefined ? undefined : await findReleased(folder, iso);
  if (found === undefined) return false;
  try {
    return (await openRootImageIso(found.path)).osmets.length === 0;
  } catch (error) {
    // dehydrate says why, where it matters.
    if (error instanceof RehydrateError) return false;
    throw error;
  }
}

/** Without an osmet, dehydrate needs the disk itself. */
function fromFiles(artifact: EstimatedArtifact): EstimatedArtifact {
  const { fileAt } = artifact;
  return {
    ...artifact,
    note: 'made from the files of the ISO, which has no osmet; dehydrate needs this image',
    fileAt: fileAt === 'not-needed' ? 'fetch' : fileAt,
  };
}

function isoOrReason(list: readonly StreamArtifact[], arch: Arch): StreamArtifact | string {
  try {
    return isoArtifact(list, arch);
  } catch (error) {
    if (error instanceof RehydrateError) return error.message;
    throw error;
  }
}

async function estimateOne(
  artifact: StreamArtifact,
  label: string,
  iso: StreamArtifact | string,
  { folder, released }: EstimateContext,
): Promise<EstimatedArtifact> {
  const { platform, format, file, release, name, attestation } = artifact;
  const { releasedName, location, signature, releasedSha256, releasedSize, compression } = artifact;
  const coverage = coverageOf(artifact, iso);
  // The disk comes from the ISO, but how it was compressed shows only in the released file.
  const tried = released.some((kind) => kind === compression);
  const needless = coverage.how === 'uncovered' || (coverage.how === 'regenerated' && !tried);
  const there = folder !== undefined && (await findReleased(folder, artifact)) !== undefined;
  return {
    ...{ label, platform, format, file, release, name, attestation, ...coverage },
    released: {
      name: releasedName,
      location,
      ...(signature === undefined ? {} : { signature }),
      sha256: releasedSha256,
      ...(releasedSize === undefined ? {} : { size: releasedSize }),
      compression,
    },
    fileAt: there ? 'at-hand' : needless ? 'not-needed' : 'fetch',
  };
}

type Coverage = Pick<EstimatedArtifact, 'how' | 'base' | 'container' | 'note'>;

function coverageOf(artifact: StreamArtifact, iso: StreamArtifact | string): Coverage {
  if (typeof iso === 'string') return { how: 'uncovered', note: iso };
  const { platform, release, sha256 } = artifact;
  if (release !== iso.release) {
    const note = `it is of release ${release}, the ISO of ${iso.release}`;
    return { how: 'uncovered', note };
  }
  if (sha256 !== undefined && sha256 === iso.sha256) return { how: 'iso', container: 'iso' };
  const format = plainFormat(artifact.format);
  if (platform === 'metal' && sha256 !== undefined && (format === 'raw' || format === '4k.raw')) {
    const base = format === 'raw' ? 'metal' : 'metal4k';
    return { how: 'regenerated', base, container: 'raw' };
  }
  const expected = expectedImage(platform, format);
  if (expected === undefined) {
    const note = 'unknown platform: dehydrate decides by the contents';
    return { how: 'unknown', base: 'metal', note };
  }
  const { container, bases, note } = expected;
  const [base = 'metal'] = bases;
  const how =
    platform === 'qemu-secex' ? 'encrypted' : APART.has(container) ? 'container' : 'delta';
  return { how, base, container, ...(note === undefined ? {} : { note }) };
}

/** Containers that are taken apart and rebuilt. */
const APART: ReadonlySet<string> = new Set(['qcow2', 'vmdk', 'tar', 'gzip']);
