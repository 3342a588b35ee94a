import type { BaseName, MetalVariant } from '../../../images/platforms.ts';
import { FormatError } from '../../core/errors.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { hashSource } from '../../core/io/hash-file.ts';
import { closeAll, openSource, type Source } from '../../core/io/source.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import { regenerate } from '../../engine/cache/regenerate.ts';
import type { EngineReport, MetalEngine } from '../../engine/engine.ts';
import { openLiveIso } from '../../formats/iso/open.ts';
import { findIso, type IsoOptions, proveIso } from './iso.ts';

export interface BasesOptions extends IsoOptions {
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
}

/** The bases of the artifacts at hand, open. */
export interface Bases extends AsyncDisposable {
  get(base: BaseName): Source;
  /** What the engine says of its run; undefined if everything came from the cache. */
  readonly report: EngineReport | undefined;
  /**
   * An output came out wrong: reads the base again. A cached disk that has rotted is dropped and, if
   * there can be a `secondTry`, made anew; resolves to true if that makes sense now. A damaged ISO
   * throws.
   */
  doubt(base: BaseName, options: { readonly secondTry: boolean }): Promise<boolean>;
}

/**
 * Opens all `needed` bases: the ISO in place, metal disks from the cache, and those that are not
 * there by one boot of the ISO for all. The ISO is hashed before it is booted, and whenever the user
 * named a copy of their own; otherwise the hashes of the outputs prove what was read of it.
 */
export async function openBases(
  needed: ReadonlySet<BaseName>,
  options: BasesOptions,
): Promise<Bases> {
  const { recipes, cache, signal, progress } = options;
  const sources = new Map<BaseName, Source>();
  const fresh = new Set<BaseName>();
  let report: EngineReport | undefined;
  let isoIsProven = false;

  const provenIso = async () => {
    const path = await findIso(options);
    if (!isoIsProven) await proveIso(path, options);
    isoIsProven = true;
    return path;
  };
  const make = async (wanted: ReadonlyMap<MetalVariant, BlobRef>) => {
    const iso = await openLiveIso(await provenIso(), { signal });
    const made = await regenerate(wanted, { ...options, iso });
    report = made.report;
    for (const [variant, source] of made.sources) {
      sources.set(variant, source);
      fresh.add(variant);
    }
  };

  try {
    if (options.isoPath !== undefined) await provenIso();
    if (needed.has('iso')) sources.set('iso', await openSource(await findIso(options)));
    const absent = new Map<MetalVariant, BlobRef>();
    for (const variant of ['metal', 'metal4k'] as const) {
      if (!needed.has(variant)) continue;
      const base = derivedBase(recipes, variant);
      const cached = await cache.lookup(base);
      if (cached) sources.set(variant, cached);
      else absent.set(variant, base);
    }
    if (absent.size > 0) await make(absent);
  } catch (error) {
    await closeAll(sources);
    throw error;
  }

  return {
    get(base) {
      const source = sources.get(base);
      if (source === undefined) throw new Error(`base ${base} was not asked for`);
      return source;
    },
    get report() {
      return report;
    },
    async doubt(base, { secondTry }) {
      if (base === 'iso') {
        await provenIso();
        return false;
      }
      const { sha256 } = derivedBase(recipes, base);
      const source = sources.get(base);
      if (source === undefined || fresh.has(base)) return false;
      const found = await hashSource(source, { signal }).catch(() => undefined);
      if (found === sha256) return false;
      progress({
        type: 'note',
        subject: base,
        message: `the cached ${base} disk was damaged and is dropped (${source.name})`,
      });
      await source.close();
      sources.delete(base);
      await cache.evict(sha256);
      if (!secondTry) return false;
      await make(new Map([[base, derivedBase(recipes, base)]]));
      return true;
    },
    async [Symbol.asyncDispose]() {
      await closeAll(sources);
    },
  };
}

function derivedBase({ bases }: IsoOptions['recipes'], variant: MetalVariant): BlobRef {
  const base = bases[variant];
  if (base) return base;
  throw new FormatError(`the recipe manifest does not describe base ${variant}`, {
    code: 'RECIPES_BASE',
    context: { base: variant },
  });
}
