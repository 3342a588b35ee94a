import { join } from 'node:path';
import { UsageError } from '../../core/errors.ts';
import { fetchFile } from '../../core/http/fetch-file.ts';
import { shown } from '../../core/http/origin.ts';
import { silent } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import type { IsoContext, WantedIso } from './sources.ts';

/** Downloads a whole ISO, resuming and hashing on the way. If several are wanted, the name in the URL says which. */
export async function isoFromUrl(
  url: string,
  wanted: readonly WantedIso[],
  { cache, http, signal, progress = silent }: IsoContext,
): Promise<ReadonlyMap<string, string>> {
  const iso = wanted.length === 1 ? wanted[0] : wanted.find(({ name }) => name === nameOf(url));
  if (iso === undefined) {
    throw new UsageError(`it is not clear which ISO is at ${shown(url)}`, {
      code: 'ISO_URL',
      context: { wanted: wanted.map(({ name }) => name).join(', ') },
      hint: 'name a URL that ends with the name of the ISO, or one architecture with --arch',
    });
  }
  const { name, sha256, size } = iso;
  const path = join(await cache.scratch(), sha256);
  const what = { subject: name, phase: 'hash-iso', total: size } as const;
  const cached = await step(progress, what, (onBytes) =>
    cache.take(sha256, path, { signal, onBytes }),
  );
  if (!cached.result) {
    await step(progress, { subject: name, phase: 'fetch', total: size }, (onBytes) =>
      cache.add(iso, path, (to) =>
        fetchFile({ url, http: http(), path: to, sha256, size, signal, onBytes }),
      ),
    );
  }
  return new Map([[sha256, path]]);
}

function nameOf(url: string): string {
  const last = URL.canParse(url) ? new URL(url).pathname.split('/').at(-1) : undefined;
  try {
    return decodeURIComponent(last ?? '');
  } catch {
    return '';
  }
}
