import type { BaseName } from '../../images/platforms.ts';
import { IntegrityError } from '../core/errors.ts';
import type { BlobRef } from '../core/io/digest.ts';
import { lookAt } from '../core/io/presence.ts';
import { shortName } from '../release/stream/artifacts.ts';
import { blobPath } from './blobs.ts';
import type { Bundle } from './read.ts';
import { baseOf, blobsOf, blobsOfBase, type RecipeArtifact, type Recipes } from './recipes.ts';

/** Blobs that an architecture's recipes list but the folder lacks, because only a part of the bundle was pulled. */
export interface NotPulled {
  /** The ISO, if the bundle should have one. */
  readonly iso: boolean;
  /** And the first blob that each lacks. */
  readonly artifacts: ReadonlyMap<RecipeArtifact, BlobRef>;
}

export async function notPulled(
  { path }: Pick<Bundle, 'path'>,
  recipes: Recipes,
): Promise<NotPulled> {
  const known = new Map<string, Promise<boolean>>();
  const isThere = ({ sha256 }: BlobRef) => {
    const found = known.get(sha256) ?? exists(blobPath(path, sha256));
    known.set(sha256, found);
    return found;
  };
  const artifacts = new Map<RecipeArtifact, BlobRef>();
  for (const artifact of recipes.artifacts) {
    const base: BaseName = baseOf(artifact);
    const blobs = [...blobsOf(artifact.recipe), ...blobsOfBase(recipes, base)];
    for (const blob of blobs) {
      if (artifacts.has(artifact) || (await isThere(blob))) continue;
      artifacts.set(artifact, blob);
    }
  }
  return { iso: recipes.iso.embedded && !(await isThere(recipes.iso)), artifacts };
}

async function exists(path: string): Promise<boolean> {
  // A blob that is there but damaged is reported when it is read.
  return (await lookAt(path)) !== undefined;
}

/** The command that pulls them. */
export function pullCommand(
  bundle: Pick<Bundle, 'path' | 'recipes'>,
  { architecture, artifacts: all }: Recipes,
  artifacts: Iterable<RecipeArtifact>,
): string {
  const names = [...artifacts].map((artifact) => shortName(artifact, all)).join(',');
  const arch = bundle.recipes.length > 1 ? ` -a ${architecture}` : '';
  return `iso-rehydrate pull REF -p ${names}${arch} -o ${bundle.path}`;
}

/** Throws IntegrityError `BLOB_MISSING` if this artifact was not pulled. */
export function refuseNotPulled(
  bundle: Bundle,
  recipes: Recipes,
  artifact: RecipeArtifact,
  { artifacts }: NotPulled,
): void {
  const absent = artifacts.get(artifact);
  if (absent === undefined) return;
  const name = shortName(artifact, recipes.artifacts);
  throw new IntegrityError(`blob ${absent.sha256} is missing: ${name} was not pulled`, {
    code: 'BLOB_MISSING',
    context: { bundle: bundle.path },
    hint: `run \`${pullCommand(bundle, recipes, [artifact])}\``,
  });
}
