import type { Arch } from '../core/arch.ts';
import { IntegrityError } from '../core/errors.ts';
import type { Sha256 } from '../core/io/digest.ts';
import { idText, listArtifacts, shortName } from '../release/stream/artifacts.ts';
import type { Stream } from '../release/stream/schema.ts';
import type { RecipeArtifact, Recipes } from './recipes.ts';

/** A stream or release JSON that the user got independently of the bundle. */
export interface TrustedStream {
  /** Path or URL. */
  readonly name: string;
  readonly sha256: Sha256;
  readonly stream: Stream;
}

/** The sources of trust besides the bundle itself. */
export interface Trust {
  /** If there are any, each image's digest must be in one of them. */
  readonly streams: readonly TrustedStream[];
  /** The digest that the index was compared with. */
  readonly expected: Sha256 | undefined;
  /** The program that verified a signature of the index. */
  readonly verifiedBy: string | undefined;
  /** The policy file that was applied. */
  readonly policy: { readonly path: string; readonly sha256: Sha256 } | undefined;
}

export const NO_TRUST: Trust = {
  streams: [],
  expected: undefined,
  verifiedBy: undefined,
  policy: undefined,
};

/** From the weakest to the strongest. */
export const TRUST_GRADES = ['bundle', 'index', 'signature', 'stream'] as const;
export type TrustGrade = (typeof TRUST_GRADES)[number];

export function gradeOf({ streams, expected, verifiedBy }: Trust): TrustGrade {
  if (streams.length > 0) return 'stream';
  if (verifiedBy !== undefined) return 'signature';
  return expected === undefined ? 'bundle' : 'index';
}

/** Says in words who vouches for the bundle. */
export function vouchersOf({ streams, expected, verifiedBy }: Trust): string {
  const all = [
    ...streams.map(({ name }) => name),
    ...(verifiedBy === undefined ? [] : [`a signature that ${verifiedBy} verified`]),
    ...(expected === undefined ? [] : ['the expected digest of its index']),
  ];
  return all.length === 0 ? 'the bundle itself' : all.join(', ');
}

/** The trusted stream that lists an artifact with the digest in the bundle. */
export function voucherOf(
  artifact: RecipeArtifact,
  architecture: Arch,
  { streams }: Trust,
): TrustedStream | undefined {
  return streams.find(({ stream }) => {
    if (!Object.hasOwn(stream.architectures, architecture)) return false;
    const id = idText(artifact);
    const listed = listArtifacts(stream, architecture).find((one) => idText(one) === id);
    if (listed?.releasedSha256 !== artifact.released.sha256) return false;
    // If the released file is the image itself, the digest of the file attests it.
    const isReleased =
      artifact.attestation === 'sha256' && listed.releasedSha256 === artifact.sha256;
    return listed.sha256 === artifact.sha256 || isReleased;
  });
}

/** The parts of a bundle that trust is about. */
interface Trusting {
  readonly trust?: Trust | undefined;
}

/** Whether an artifact must not be made: there are trusted streams, and none of them lists it. */
export function isUntrusted(
  { trust = NO_TRUST }: Trusting,
  { architecture }: Recipes,
  artifact: RecipeArtifact,
): boolean {
  return trust.streams.length > 0 && voucherOf(artifact, architecture, trust) === undefined;
}

/** Throws IntegrityError `TRUST_ABSENT` for an artifact that no trusted stream lists. */
export function refuseUntrusted(
  bundle: Trusting,
  recipes: Recipes,
  artifact: RecipeArtifact,
): void {
  if (!isUntrusted(bundle, recipes, artifact)) return;
  const { streams } = bundle.trust ?? NO_TRUST;
  const name = shortName(artifact, recipes.artifacts);
  const computed = artifact.attestation === 'computed';
  throw new IntegrityError(
    `${name} is not vouched for: its digest is not in ${streams.map((one) => one.name).join(', ')}`,
    {
      code: 'TRUST_ABSENT',
      context: {
        architecture: recipes.architecture,
        artifact: idText(artifact),
        sha256: artifact.sha256,
      },
      hint: computed
        ? 'the stream attests its compressed file only: leave it out, or leave --trust out'
        : 'name the stream JSON of this release with --trust; otherwise do not use this bundle',
    },
  );
}
