import type { Recipes } from '../../bundle/recipes.ts';
import type { Http } from '../../core/http/client.ts';
import type { Progress } from '../../core/progress/progress.ts';
import type { BlobCache } from '../../engine/cache/blob-cache.ts';
import type { Registry } from '../../registry/client.ts';
import type { Reference } from '../../registry/reference.ts';

/** An ISO that a bundle was made from. */
export type WantedIso = Pick<Recipes, 'architecture'> &
  Pick<Recipes['iso'], 'name' | 'sha256' | 'size'>;

export interface IsoSources {
  /** As the user names them: files, folders of ISOs, `https://` URLs, images that hold ISOs. */
  readonly names: readonly string[];
  /** Called only if a name requires the network or the cache. */
  readonly cache: () => Promise<BlobCache>;
  readonly connect: (reference: Reference) => Promise<Registry>;
  readonly http: () => Http;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

/** Input of the readers of one kind of source. */
export interface IsoContext extends Omit<IsoSources, 'names' | 'cache'> {
  readonly cache: BlobCache;
}
