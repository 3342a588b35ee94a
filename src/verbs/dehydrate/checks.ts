import type { BaseName } from '../../../images/platforms.ts';
import { IntegrityError, UnsupportedError } from '../../core/errors.ts';
import type { BlobRef, Sha256 } from '../../core/io/digest.ts';
import type { ReleasedFile } from '../../release/files/released.ts';
import { plainFormat, type StreamArtifact } from '../../release/stream/artifacts.ts';
import type { OpenBase } from './open-base.ts';

// These messages may end up in a bundle as the reason why an artifact is missing. Changing one changes the
// bundle that the same inputs give.

/** Throws UnsupportedError `RELEASE_DIFFERS`. */
export function refuseOtherRelease(artifact: StreamArtifact, release: string): void {
  if (artifact.release === release) return;
  throw new UnsupportedError(`it is of release ${artifact.release}, the ISO of ${release}`, {
    code: 'RELEASE_DIFFERS',
    context: { file: artifact.releasedName },
    hint: 'use a stream JSON whose artifacts all come from one build',
  });
}

export function fileMissing({ releasedName, location }: StreamArtifact): UnsupportedError {
  return new UnsupportedError(`its file ${releasedName} is not among the artifacts`, {
    code: 'FILE_MISSING',
    context: { location },
    hint: 'download it into the --artifacts folder, or allow its absence with --allow-missing',
  });
}

/**
 * A metal disk that the ISO should regenerate but does not must come from another build, and a delta would
 * hide that. Throws IntegrityError `METAL_DIFFERS`.
 */
export function refuseOtherMetal(
  artifact: StreamArtifact,
  bases: ReadonlyMap<BaseName, OpenBase>,
): void {
  if (artifact.platform !== 'metal' || artifact.sha256 === undefined) return;
  const variants: Readonly<Record<string, BaseName>> = { raw: 'metal', '4k.raw': 'metal4k' };
  const variant = variants[plainFormat(artifact.format)];
  const base = variant && bases.get(variant);
  if (base === undefined) return;
  throw new IntegrityError('the ISO regenerates a different disk from the released one', {
    code: 'METAL_DIFFERS',
    context: { released: artifact.sha256, regenerated: base.sha256 },
    hint: 'check that the ISO and the metal image come from the same build',
  });
}

/** Facts about a file. */
export interface FoundFile {
  /** As it is stored. */
  readonly file: BlobRef;
  /** Uncompressed. */
  readonly target: BlobRef;
}

/** The digests that the stream attests for a file; undefined where it attests none. */
export interface AttestedFile {
  /** For messages. */
  readonly name: string;
  readonly path: string;
  /** As it is stored. */
  readonly file: Sha256 | undefined;
  /** Uncompressed. */
  readonly target: Sha256 | undefined;
}

/** If the released file was already unpacked, only the digest of its contents can be checked. */
export function attestedOf(
  { releasedName, releasedSha256, compression, sha256 }: StreamArtifact,
  file: ReleasedFile,
): AttestedFile {
  const released = file.compression === compression;
  return {
    name: releasedName,
    path: file.path,
    file: released ? releasedSha256 : undefined,
    target: sha256,
  };
}

/** Throws IntegrityError `RELEASED_DIGEST` or `TARGET_DIGEST` if the file is not the released one. */
export function checkFound({ name, path, file, target }: AttestedFile, found: FoundFile): void {
  if (file !== undefined && file !== found.file.sha256) {
    throw new IntegrityError(`${name} does not have the SHA-256 of the stream`, {
      code: 'RELEASED_DIGEST',
      context: { file: path, expected: file, found: found.file.sha256 },
      hint: 'download the file again; it must belong to the release that the stream JSON describes',
    });
  }
  if (target !== undefined && target !== found.target.sha256) {
    throw new IntegrityError(`${name} does not unpack to the SHA-256 of the stream`, {
      code: 'TARGET_DIGEST',
      context: { file: path, expected: target, found: found.target.sha256 },
      hint: 'download the file again; it must belong to the release that the stream JSON describes',
    });
  }
}
