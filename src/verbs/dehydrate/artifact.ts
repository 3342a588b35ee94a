import {
  type BaseName,
  type Container,
  chooseBase,
  expectedImage,
} from '../../../images/platforms.ts';
import type { Recipe, RecipeArtifact } from '../../bundle/recipes.ts';
import type { BundleWriter } from '../../bundle/write.ts';
import type { CodecPool } from '../../codec/pool.ts';
import { IntegrityError, UnsupportedError } from '../../core/errors.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { findReleased, type ReleasedFile, readReleasedOnce } from '../../release/files/released.ts';
import { plainFormat, type StreamArtifact } from '../../release/stream/artifacts.ts';
import { encodeFile } from './encode-file.ts';
import type { OpenBase } from './open-base.ts';

export interface ArtifactContext {
  readonly folder: string;
  /** Release of the ISO; targets of another one are refused. */
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
 * Works out how one released artifact is made from the bases, writes its delta if it needs one, and
 * checks on the way that the file at hand is the released one. Throws UnsupportedError
 * `RELEASE_DIFFERS` or `FILE_MISSING`, IntegrityError `RELEASED_DIGEST`, `TARGET_DIGEST` or
 * `METAL_DIFFERS`.
 */
export async function dehydrateArtifact(
  artifact: StreamArtifact,
  context: ArtifactContext,
): Promise<RecipeArtifact> {
  const { folder, bases } = context;
  refuseOtherRelease(artifact, context.release);
  const file = await findReleased(folder, artifact);
  const whole = [...bases.values()].find(({ sha256 }) => sha256 === artifact.sha256);
  if (whole) return fromWhole(artifact, whole, file, context);
  refuseOtherMetal(artifact, bases);
  if (file === undefined) throw fileMissing(artifact);

  const { platform, format } = artifact;
  const available = new Set(bases.keys());
  const base = bases.get(chooseBase(expectedImage(platform, plainFormat(format)), available));
  if (base === undefined) throw new Error('there is always the ISO');
  return (
    (await fromServed(artifact, base, file, context)) ?? fromDelta(artifact, base, file, context)
  );
}

/**
 * Where the stream attests the compressed bytes only (gcp's tar.gz), these are the artifact, if they can
 * be made again; else undefined, and the artifact is what they unpack to, attested by ourselves.
 */
async function fromServed(
  artifact: StreamArtifact,
  base: OpenBase,
  file: ReleasedFile,
  context: ArtifactContext,
): Promise<RecipeArtifact | undefined> {
  if (artifact.attestation !== 'computed' || file.compression !== 'gz') return undefined;
  const served: StreamArtifact = {
    ...artifact,
    name: artifact.releasedName,
    compression: 'none',
    attestation: 'sha256',
    sha256: artifact.releasedSha256,
  };
  try {
    const asServed: ReleasedFile = { path: file.path, compression: 'none' };
    return await fromDelta(served, base, asServed, context, true);
  } catch (error) {
    if (error instanceof UnsupportedError && error.code === 'NOT_APART') return undefined;
    throw error;
  }
}

export function refuseOtherRelease(artifact: StreamArtifact, release: string): void {
  if (artifact.release === release) return;
  throw new UnsupportedError(`it is of release ${artifact.release}, the ISO of ${release}`, {
    code: 'RELEASE_DIFFERS',
    context: { file: artifact.releasedName },
    hint: 'use a stream JSON whose artifacts are all of one build',
  });
}

export function fileMissing({ releasedName, location }: StreamArtifact): UnsupportedError {
  return new UnsupportedError(`its file ${releasedName} is not among the artifacts`, {
    code: 'FILE_MISSING',
    context: { location },
    hint: 'fetch it into the --artifacts folder, or allow its absence with --allow-missing',
  });
}

/** A metal disk that the ISO should give, but does not, is of another build: no delta papers it over. */
function refuseOtherMetal(artifact: StreamArtifact, bases: ReadonlyMap<BaseName, OpenBase>): void {
  if (artifact.platform !== 'metal' || artifact.sha256 === undefined) return;
  const variants: Readonly<Record<string, BaseName>> = { raw: 'metal', '4k.raw': 'metal4k' };
  const variant = variants[plainFormat(artifact.format)];
  const base = variant && bases.get(variant);
  if (base === undefined) return;
  throw new IntegrityError('the ISO regenerates another disk than the released one', {
    code: 'METAL_DIFFERS',
    context: { released: artifact.sha256, regenerated: base.sha256 },
    hint: 'check that ISO and metal image are of the same build',
  });
}

/** The artifact is a base as it is. A file at hand has to agree, but nothing is taken from it. */
async function fromWhole(
  artifact: StreamArtifact,
  base: OpenBase,
  file: ReleasedFile | undefined,
  context: ArtifactContext,
): Promise<RecipeArtifact> {
  const { name, size, sha256 } = base;
  const recipe: Recipe = name === 'iso' ? { kind: 'iso' } : { kind: 'base', base: name };
  const container: Container = name === 'iso' ? 'iso' : 'raw';
  // The ISO's own bytes were hashed when it was added.
  if (name === 'iso' || file === undefined) {
    const releasedSize = name === 'iso' ? size : undefined;
    return describe(artifact, { recipe, container, size, sha256, releasedSize });
  }
  const reader = readReleasedOnce(file, context.signal);
  using hashing = context.pool.hashing(size, context.signal);
  await match(context, async (onBytes) => {
    for await (const chunk of reader.target) {
      await hashing.update(chunk);
      onBytes(hashing.bytes);
    }
  });
  const found = { size: hashing.bytes, sha256: await hashing.digest() };
  const releasedSize = checkFile(artifact, file, reader.fileDigest(found));
  checkTarget(artifact, found.sha256);
  return describe(artifact, { recipe, container, size, sha256, releasedSize });
}

async function fromDelta(
  artifact: StreamArtifact,
  base: OpenBase,
  file: ReleasedFile,
  context: ArtifactContext,
  onlyApart = false,
): Promise<RecipeArtifact> {
  let releasedSize: number | undefined;
  const { recipe, target, container } = await encodeFile({
    ...context,
    file,
    base,
    onlyApart,
    prove(found) {
      releasedSize = checkFile(artifact, file, found.file);
      checkTarget(artifact, found.target.sha256);
    },
  });
  const expected = expectedImage(artifact.platform, plainFormat(artifact.format))?.container;
  const actual = expected === 'iso-file' ? expected : container;
  if (expected !== undefined && expected !== actual && !onlyApart) {
    context.progress({
      type: 'note',
      subject: context.subject,
      message: `expected a ${expected} container, found ${actual}`,
    });
  }
  return describe(artifact, { recipe, container: actual, ...target, releasedSize });
}

/** Reads the released file against its base; how long it will be is not known before its end. */
async function match<T>(
  { progress, subject }: ArtifactContext,
  body: (onBytes: (done: number) => void) => Promise<T>,
): Promise<T> {
  return (await step(progress, { subject, phase: 'match' }, body)).result;
}

/** The released file's size, if it is the released file that was read and not an unpacked one. */
function checkFile(
  { compression, releasedSha256, releasedName }: StreamArtifact,
  file: ReleasedFile,
  found: { sha256: Sha256; size: number },
): number | undefined {
  if (file.compression !== compression) return undefined;
  if (found.sha256 === releasedSha256) return found.size;
  throw new IntegrityError(`${releasedName} does not have the SHA-256 of the stream`, {
    code: 'RELEASED_DIGEST',
    context: { file: file.path, expected: releasedSha256, found: found.sha256 },
    hint: 'fetch the file again; it must be of the release that the stream JSON describes',
  });
}

function checkTarget({ sha256, releasedName }: StreamArtifact, found: Sha256): void {
  if (sha256 === undefined || sha256 === found) return;
  throw new IntegrityError(`${releasedName} does not unpack to the SHA-256 of the stream`, {
    code: 'TARGET_DIGEST',
    context: { file: releasedName, expected: sha256, found },
    hint: 'fetch the file again; it must be of the release that the stream JSON describes',
  });
}

function describe(
  artifact: StreamArtifact,
  made: Pick<RecipeArtifact, 'recipe' | 'container' | 'size' | 'sha256'> & {
    readonly releasedSize: number | undefined;
  },
): RecipeArtifact {
  const { platform, format, file, release, name, attestation, compression } = artifact;
  const { releasedSize, ...rest } = made;
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
    },
  };
}
