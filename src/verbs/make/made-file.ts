import type { RecipeArtifact } from '../../bundle/recipes.ts';
import { LAYER_KINDS, layerOf, type RecordedLayer } from '../../bundle/released-layer.ts';
import { UnsupportedError } from '../../core/errors.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import { checkSize } from '../../core/plausible.ts';
import type { Attestation } from '../../release/stream/artifacts.ts';
import { checkDeclared } from './write-artifact.ts';

/** A file that an artifact is made into: its target, or the released file around that. */
export interface MadeFile {
  readonly artifact: RecipeArtifact;
  readonly name: string;
  /** Bytes; undefined if nothing in the bundle says, and then it cannot be made. */
  readonly size: number | undefined;
  readonly sha256: Sha256;
  readonly attestation: Attestation;
  /** Whether it is a released file that differs from its target. */
  readonly compressed: boolean;
  /** How the target is compressed to it, if it is. */
  readonly layer?: RecordedLayer | undefined;
}

/** The target: the released file without its compression. */
export function targetFile(artifact: RecipeArtifact): MadeFile {
  const { name, size, sha256, attestation } = artifact;
  return { artifact, name, size, sha256, attestation, compressed: false };
}

/** The released file, by the digest that the stream has of it. */
export function releasedFile(artifact: RecipeArtifact): MadeFile {
  const { released, compression } = artifact;
  if (compression === 'none') return targetFile(artifact);
  const { name, size, sha256, layer } = released;
  return { artifact, name, size, sha256, attestation: 'sha256', compressed: true, layer };
}

/** Which of the two a verb was asked to make. */
export const fileOf = (
  artifact: RecipeArtifact,
  { released }: { readonly released?: boolean | undefined },
): MadeFile => (released ? releasedFile(artifact) : targetFile(artifact));

/**
 * Throws UnsupportedError `SIZE_LIMIT` for what no release has, `RELEASED_UNCOVERED` for a released file that cannot be
 * made again, `CODEC_UNKNOWN` if this version cannot.
 */
export function checkMakeable(file: MadeFile): void {
  checkDeclared(file.artifact);
  if (!file.compressed) return;
  const { name, layer, size } = file;
  if (layer === undefined || size === undefined) throw releasedUncovered(file);
  layerOf(layer, name);
  checkSize(name, size);
}

function releasedUncovered({ name, artifact }: MadeFile): UnsupportedError {
  const { compression } = artifact;
  return new UnsupportedError(`the bundle does not say how ${name} was compressed`, {
    code: 'RELEASED_UNCOVERED',
    context: { released: name, target: artifact.name },
    hint: `leave --released out for ${artifact.name}${howTo(compression)}`,
  });
}

/** Which bundle has the released files of a kind, if any. */
export const howTo = (compression: string): string =>
  LAYER_KINDS.some((kind) => kind === compression)
    ? `, or make the bundle with \`dehydrate --released ${compression}\``
    : `; no .${compression} file can be made`;

/** Whether {@link checkMakeable} lets it pass. */
export function isMakeable(file: MadeFile): boolean {
  try {
    checkMakeable(file);
    return true;
  } catch {
    return false;
  }
}
