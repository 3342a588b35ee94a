import { stat } from 'node:fs/promises';
import { baseOf } from '../../bundle/recipes.ts';
import { type ArchWork, blobsFor } from '../../bundle/work.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import { canSpareIso, type WithoutIsoOptions } from '../rehydrate/without-iso.ts';

export interface NeededOptions {
  /** ISOs that the user has named. */
  readonly isoPaths?: readonly string[] | undefined;
  /** A cache that may hold disks from earlier runs; undefined if the ISO must be read anyway. */
  readonly disks?: Pick<MetalCache, 'lookup'> | undefined;
  /** The requested artifacts, and containers that their disks can be made from instead. */
  readonly spare?: Pick<WithoutIsoOptions, 'selection' | 'containers'> | undefined;
}

/** The blobs that some work needs, except ISOs that are named, have cached disks, or are replaced by a container. */
export async function neededBlobs(
  work: readonly Pick<ArchWork, 'recipes' | 'artifacts'>[],
  { isoPaths = [], disks, spare }: NeededOptions,
): Promise<BlobRef[]> {
  const sizes = new Set<number>();
  for (const path of isoPaths) {
    const found = await stat(path).catch(() => undefined);
    if (found) sizes.add(found.size);
  }
  const spared = new Set<string>();
  for (const one of work) {
    const { iso } = one.recipes;
    const isReplaced = spare !== undefined && canSpareIso(one, { ...spare, isoPaths });
    const isSpared = sizes.has(iso.size) || isReplaced;
    if (isSpared || (disks && (await hasDisks(one, disks)))) spared.add(iso.sha256);
  }
  return blobsFor(work).filter(({ sha256 }) => !spared.has(sha256));
}

async function hasDisks(
  { recipes, artifacts }: Pick<ArchWork, 'recipes' | 'artifacts'>,
  disks: Pick<MetalCache, 'lookup'>,
): Promise<boolean> {
  for (const base of new Set(artifacts.map(baseOf))) {
    const disk = base === 'iso' ? undefined : recipes.bases[base];
    const found = disk && (await disks.lookup(disk));
    if (found === undefined) return false;
    await found.close();
  }
  return artifacts.length > 0;
}
