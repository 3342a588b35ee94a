import {
  type BaseName,
  type Container,
  chooseBase,
  expectedImage,
} from '../../../images/platforms.ts';
import type { Recipe, RecipeArtifact } from '../../bundle/recipes.ts';
import type { BundleWriter } from '../../bundle/write.ts';
import type { CodecPool } from '../../codec/pool.ts';
import type { ReleasedLayer } from '../../codec/released/layer.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { inPhase } from '../../core/progress/step.ts';
import { readSignature } from '../../release/download/signature-files.ts';
import { findReleased, type ReleasedFile, readReleasedOnce } from '../../release/files/released.ts';
import { plainFormat, type StreamArtifact } from '../../release/stream/artifacts.ts';
import {
  attestedOf,
  checkFound,
  fileMissing,
  refuseOtherMetal,
  refuseOtherRelease,
} from './checks.ts';
import { type EncodedFile, encodeFile } from './encode-file.ts';
import type { OpenBase } from './open-base.ts';
import { type WatchOptions, watchLayer } from './watch-layer.ts';

export interface ArtifactContext extends Pick<WatchOptions, 'kinds' | 'blocks'> {
  readonly folder: string;
  /** Release of the ISO; artifacts from another release are refused. */
  readonly release: string;
  readonly bases: ReadonlyMap<BaseName, OpenBase>;
  readonly writer: BundleWriter;
  readonly pool: CodecPool;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
  /** For progress. */
  readonly subject: string;
}

/**
 * Works out how to make one released artifact from the bases, writes its delta if it needs one, and checks
 * on the way that the local file is the released one. Throws UnsupportedError `RELEASE_DIFFERS` or
 * `FILE_MISSING`, IntegrityError `RELEASED_DIGEST`, `TARGET_DIGEST` or `METAL_DIFFERS`.
 */
export async function dehydrateArtifact(
  artifact: StreamArtifact,
  context: ArtifactContext,
): Promise<RecipeArtifact> {
  const covered = await cover(artifact, context);
  const signature = await addSignature(artifact, context);
  return { ...covered, released: { ...covered.released, ...(signature ? { signature } : {}) } };
}

/** The release's signature, if it is beside its file. It is not checked here: the reader has the keys. */
async function addSignature(
  artifact: StreamArtifact,
  { folder, writer, signal }: ArtifactContext,
): Promise<BlobRef | undefined> {
  const bytes = await readSignature(folder, artifact, signal);
  return bytes && writer.addBytes(bytes);
}

async function cover(artifact: StreamArtifact, context: ArtifactContext): Promise<RecipeArtifact> {
  const { folder, bases } = context;
  refuseOtherRelease(artifact, context.release);
  const file = await findReleased(folder, artifact);
  const whole = [...bases.values()].find(({ sha256 }) => sha256 === artifact.sha256);
  if (whole) return fromWhole(artifact, whole, file, context);
  refuseOtherMetal(artifact, bases);
  if (file === undefined) throw fileMissing(artifact);
  const base = baseFor(artifact, bases);

  if (artifact.attestation === 'computed' && file.compression === 'gz') {
    const served = asServed(artifact);
    const encoded = await encode(served, { ...file, compression: 'none' }, base, context, {
      onlyApart: true,
    });
    if (encoded) return recordFile(served, encoded);
  }
  const encoded = await encode(artifact, file, base, context);
  if (encoded === undefined) throw new Error('any file can be stored unchanged');
  noteContainer(artifact, encoded, context);
  return recordFile(artifact, encoded);
}

function baseFor(
  { platform, format }: StreamArtifact,
  bases: ReadonlyMap<BaseName, OpenBase>,
): OpenBase {
  const available = new Set(bases.keys());
  const base = bases.get(chooseBase(expectedImage(platform, plainFormat(format)), available));
  if (base === undefined) throw new Error('the ISO is always among the bases');
  return base;
}

/**
 * If the stream attests only the compressed bytes (gcp's tar.gz), these are the artifact if they can be
 * reproduced; otherwise the artifact is the unpacked file, attested by our own hash.
 */
const asServed = (artifact: StreamArtifact): StreamArtifact => ({
  ...artifact,
  name: artifact.releasedName,
  compression: 'none',
  attestation: 'sha256',
  sha256: artifact.releasedSha256,
});

function encode(
  artifact: StreamArtifact,
  file: ReleasedFile,
  base: OpenBase,
  context: ArtifactContext,
  how?: Parameters<typeof encodeFile>[1],
): Promise<EncodedFile | undefined> {
  const attested = attestedOf(artifact, file);
  return encodeFile({ ...context, file, attested, base }, how);
}

/** The artifact is identical to a base. A local file must agree, but nothing is taken from it. */
async function fromWhole(
  artifact: StreamArtifact,
  base: OpenBase,
  file: ReleasedFile | undefined,
  context: ArtifactContext,
): Promise<RecipeArtifact> {
  const { pool, signal, progress, subject } = context;
  const { name, size, sha256 } = base;
  // The ISO's own bytes were hashed when it was added.
  if (name === 'iso') {
    const whole = { recipe: { kind: 'iso' }, container: 'iso', size, sha256 } as const;
    return record(artifact, { ...whole, releasedSize: size });
  }
  const whole = { recipe: { kind: 'base', base: name }, container: 'raw', size, sha256 } as const;
  if (file === undefined) return record(artifact, { ...whole, releasedSize: undefined });
  await using watch = await watchLayer(file, context);
  const reader = readReleasedOnce(file, signal);
  using hashing = pool.hashing(size, signal);
  // The length of the file is not known before its end.
  await inPhase(progress, { subject, phase: 'match' }, async (onBytes) => {
    for await (const chunk of watch.watch(reader.target)) {
      await hashing.update(chunk);
      onBytes(hashing.bytes);
    }
  });
  const target = { size: hashing.bytes, sha256: await hashing.digest() };
  const found = { target, file: reader.fileDigest(target) };
  const attested = attestedOf(artifact, file);
  checkFound(attested, found);
  const releasedSize = attested.file === undefined ? undefined : found.file.size;
  return record(artifact, { ...whole, releasedSize, layer: watch.layer() });
}

function noteContainer(
  { platform, format }: StreamArtifact,
  { container: found }: EncodedFile,
  { progress, subject }: ArtifactContext,
): void {
  const expected = expectedImage(platform, plainFormat(format))?.container;
  if (expected === undefined || expected === 'iso-file' || expected === found) return;
  const message = `expected a ${expected} container, found ${found}`;
  progress({ type: 'note', subject, message });
}

function recordFile(artifact: StreamArtifact, encoded: EncodedFile): RecipeArtifact {
  const { platform, format } = artifact;
  const expected = expectedImage(platform, plainFormat(format))?.container;
  // A file of the ISO (PXE) may have any format.
  const container = expected === 'iso-file' ? expected : encoded.container;
  const { recipe, target, releasedSize, layer } = encoded;
  return record(artifact, { recipe, container, ...target, releasedSize, layer });
}

function record(
  artifact: StreamArtifact,
  made: {
    readonly recipe: Recipe;
    readonly container: Container;
    readonly size: number;
    readonly sha256: RecipeArtifact['sha256'];
    /** Undefined if an already unpacked copy was read instead of the released file. */
    readonly releasedSize: number | undefined;
    readonly layer?: ReleasedLayer | undefined;
  },
): RecipeArtifact {
  const { platform, format, file, release, name, attestation, compression } = artifact;
  const { releasedSize, layer, ...rest } = made;
  return {
    platform,
    format,
    file,
    release,
    name,
    attestation,
    compression,
    ...rest,
    released: {
      name: artifact.releasedName,
      location: artifact.location,
      sha256: artifact.releasedSha256,
      ...(releasedSize === undefined ? {} : { size: releasedSize }),
      ...(layer === undefined ? {} : { layer }),
    },
  };
}
