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
  /** Asked for where a name needs a network or a place for what came over it. */
  readonly cache: () => Promise<BlobCache>;
  readonly connect: (reference: Reference) => Promise<Registry>;
  readonly http: () => Http;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

/** What the readers of one kind of source need. */
export interface IsoContext extends Omit<IsoSources, 'names' | 'cache'> {
  readonly cache: BlobCache;
}
