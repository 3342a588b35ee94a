import { join } from 'node:path';
import type { Bundle } from '../../bundle/read.ts';
import { chooseWork, type WorkRequest } from '../../bundle/work.ts';
import { silent } from '../../core/progress/progress.ts';
import type { BlobCache } from '../../engine/cache/blob-cache.ts';
import { kindOf, namesImage } from '../../engine/files/images/open-store.ts';
import { isosFromFolder } from './from-folder.ts';
import { isosFromImage } from './from-image.ts';
import { isoFromUrl } from './from-url.ts';
import type { IsoSources, WantedIso } from './sources.ts';

/** The ISOs that a request needs. */
export function wantedIsos(
  request: WorkRequest | { readonly bundle: Pick<Bundle, 'recipes'>; readonly everything: true },
): WantedIso[] {
  const recipes =
    'everything' in request
      ? request.bundle.recipes
      : chooseWork(request, silent).architectures.map((work) => work.recipes);
  return recipes.map(({ architecture, iso: { name, sha256, size } }) => ({
    ...{ architecture, name, sha256, size },
  }));
}

/**
 * Resolves the names given with --iso to paths of ISOs. A file is taken as it is; in any other source, the `wanted` ISOs
 * are found by their SHA-256, whatever their names, and those that came over a network are kept in the cache. Throws
 * IntegrityError `ISO_ABSENT` for a source that has none of them, UsageError `ISO_URL`, and the errors of the
 * readers.
 */
export async function resolveIsos(
  wanted: readonly WantedIso[],
  sources: IsoSources,
): Promise<readonly string[]> {
  const paths: string[] = [];
  let open = wanted;
  let cache: BlobCache | undefined;
  for (const name of sources.names) {
    const isUrl = /^https?:\/\//i.test(name);
    const isFolder = !isUrl && !namesImage(name) && (await kindOf(name)) === 'folder';
    if (!isUrl && !namesImage(name) && !isFolder) {
      paths.push(name);
      continue;
    }
    if (open.length === 0) continue;
    let found: ReadonlyMap<string, string>;
    if (isFolder && (await kindOf(join(name, 'oci-layout'))) === undefined) {
      found = await isosFromFolder(name, open, sources);
    } else {
      cache ??= await sources.cache();
      const context = { ...sources, cache };
      const image = isFolder ? `oci:${name}` : name;
      found = isUrl
        ? await isoFromUrl(name, open, context)
        : await isosFromImage(image, open, context);
    }
    paths.push(...found.values());
    open = open.filter(({ sha256 }) => !found.has(sha256));
  }
  return paths;
}
