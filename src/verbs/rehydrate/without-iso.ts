import type { Bundle } from '../../bundle/read.ts';
import { baseOf, type RecipeArtifact } from '../../bundle/recipes.ts';
import type { Selection } from '../../bundle/select.ts';
import type { ArchWork } from '../../bundle/work.ts';
import type { Progress } from '../../core/progress/progress.ts';
import type { Containers } from '../../engine/files/sources/open-container.ts';
import { shortName } from '../../release/stream/artifacts.ts';
import { isIsoAbsent } from './iso.ts';

export interface WithoutIsoOptions {
  readonly bundle: Bundle;
  readonly selection: Selection;
  readonly isoPaths?: readonly string[] | undefined;
  readonly containers?: Pick<Containers, 'names'> | undefined;
}

/** The work for an architecture, and the artifacts left out of it. */
export type Reduced = ArchWork & { readonly leftOut: readonly RecipeArtifact[] };

/**
 * With containers but without the ISO, leaves out artifacts made from the ISO itself (the ISO, PXE files), and reports them.
 * This applies only if a wildcard selected them and other artifacts remain; otherwise the missing ISO is an error later.
 */
export async function withoutIso(
  work: readonly ArchWork[],
  options: WithoutIsoOptions,
  progress: Progress,
): Promise<Reduced[]> {
  const reduced: Reduced[] = [];
  for (const one of work) {
    const { recipes } = one;
    const isSpared = canSpareIso(one, options) && (await isIsoAbsent({ ...options, recipes }));
    const leftOut = isSpared ? needingIso(one) : [];
    const artifacts = one.artifacts.filter((artifact) => !leftOut.includes(artifact));
    reduced.push({ ...one, artifacts, leftOut });
    if (leftOut.length === 0) continue;
    const names = leftOut.map((artifact) => shortName(artifact, recipes.artifacts)).join(', ');
    const message = `left out ${names}: they are made from the ISO itself (see --iso)`;
    progress({ type: 'note', subject: recipes.architecture, message });
  }
  return reduced;
}

const needingIso = ({ artifacts }: Pick<ArchWork, 'artifacts'>) =>
  artifacts.filter((artifact) => baseOf(artifact) === 'iso');

/** Whether the work can be done without the ISO, if the artifacts made from it are left out. */
export function canSpareIso(
  work: Pick<ArchWork, 'recipes' | 'artifacts'>,
  {
    selection: { platforms, formats },
    containers,
    isoPaths = [],
  }: Omit<WithoutIsoOptions, 'bundle'>,
): boolean {
  if (work.recipes.files === undefined || isoPaths.length > 0) return false;
  if (containers === undefined || containers.names.length === 0) return false;
  const needs = needingIso(work).length;
  const isWildcard = formats === undefined ? platforms.includes('all') : formats.includes('all');
  return needs === 0 || (isWildcard && needs < work.artifacts.length);
}
