import type { Bundle } from '../bundle/read.ts';
import { createHttp } from '../core/http/client.ts';
import { type Progress, silent } from '../core/progress/progress.ts';
import { type BlobCache, openBlobCache } from '../engine/cache/blob-cache.ts';
import type { MetalCache } from '../engine/cache/metal-cache.ts';
import { openRegistry, type Registry } from '../registry/client.ts';
import { findCredentials } from '../registry/credentials.ts';
import type { Reference } from '../registry/reference.ts';
import { resolveIsos } from '../verbs/isos/resolve.ts';
import type { WantedIso } from '../verbs/isos/sources.ts';
import { readNamedStream } from '../verbs/streams/read-named.ts';
import { openNamedBundle, type SourcedBundle } from '../verbs/transfer/bundle-source.ts';
import { bundleOf, cacheFor } from './environment.ts';
import type { CliIo } from './io.ts';
import type { CacheOptions, ContainerOptions, TrustOptions } from './option-groups.ts';
import { vetterOf } from './trust.ts';

export type RegistryOptions = Pick<ContainerOptions, 'plainHttp' | 'authfile'>;

/** Opens repositories with the user's logins. */
export const connectorOf =
  ({ plainHttp, authfile }: RegistryOptions, { env, signal }: CliIo) =>
  async (reference: Reference): Promise<Registry> => {
    const credentials = await findCredentials(reference, env, { authFile: authfile, signal });
    return openRegistry(reference, { credentials, plainHttp, http: createHttp({ env }), signal });
  };

/** Downloads, kept in the cache folder, which is opened when the first of them is needed. */
export interface Downloads extends AsyncDisposable {
  blobs(): Promise<BlobCache>;
}

export function downloadsTo(cache: MetalCache | (() => Promise<MetalCache>)): Downloads {
  let own: Promise<MetalCache> | undefined;
  let opened: Promise<BlobCache> | undefined;
  const open = async () => {
    if (typeof cache !== 'function') return openBlobCache(cache);
    own = cache();
    return openBlobCache(await own);
  };
  return {
    blobs() {
      opened ??= open();
      return opened;
    },
    async [Symbol.asyncDispose]() {
      const blobs = await opened?.catch(() => undefined);
      await blobs?.[Symbol.asyncDispose]();
      const made = await own?.catch(() => undefined);
      await made?.[Symbol.asyncDispose]();
    },
  };
}

/** The bundle that --bundle names, wherever it is. */
export const openSourced = (
  options: RegistryOptions & TrustOptions & { readonly bundle?: string | undefined },
  io: CliIo,
  downloads: Downloads,
  progress: Progress,
): Promise<SourcedBundle> =>
  openNamedBundle(bundleOf(options, io), {
    blobs: () => downloads.blobs(),
    connect: connectorOf(options, io),
    vet: vetterOf(options, io),
    signal: io.signal,
    progress,
  });

/** Opens a bundle for `body`, which reads its documents. */
export async function withSourced<T>(
  options: RegistryOptions & CacheOptions & TrustOptions & { readonly bundle?: string | undefined },
  io: CliIo,
  body: (bundle: Bundle) => Promise<T>,
): Promise<T> {
  await using downloads = downloadsTo(() => cacheFor(options, io));
  const { bundle } = await openSourced(options, io, downloads, silent);
  return await body(bundle);
}

/** The stream that --stream names, wherever it is. */
export const streamOf = (options: RegistryOptions & { readonly stream: string }, io: CliIo) =>
  readNamedStream(options.stream, {
    http: () => createHttp({ env: io.env }),
    connect: connectorOf(options, io),
    signal: io.signal,
  });

/** Paths of the ISOs that --iso names; `wanted` is called only if they have to be searched for. */
export async function isosOf(
  options: RegistryOptions & { readonly iso?: readonly string[] | undefined },
  io: CliIo,
  downloads: Downloads,
  wanted: () => readonly WantedIso[],
  progress: Progress,
): Promise<readonly string[] | undefined> {
  if (options.iso === undefined) return undefined;
  return resolveIsos(wanted(), {
    names: options.iso,
    cache: () => downloads.blobs(),
    connect: connectorOf(options, io),
    http: () => createHttp({ env: io.env }),
    signal: io.signal,
    progress,
  });
}
