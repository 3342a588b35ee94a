import type { BaseName, MetalVariant } from '../../../images/platforms.ts';
import type { MetalBase } from '../../bundle/recipes.ts';
import { FormatError, IntegrityError, throwIfAborted } from '../../core/errors.ts';
import { hashSource } from '../../core/io/hash-file.ts';
import { closeAll, openSource, type Source } from '../../core/io/source.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import { regenerate } from '../../engine/cache/regenerate.ts';
import type { EngineReport, MetalEngine } from '../../engine/engine.ts';
import { openLiveIso } from '../../formats/iso/open.ts';
import { type MetalsOptions, makeMetals } from '../make/metals.ts';
import { findIso, type IsoOptions, proveIso } from './iso.ts';

export interface BasesOptions extends IsoOptions, Pick<MetalsOptions, 'containers'> {
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
}

/** The open bases of the planned artifacts. */
export interface Bases extends AsyncDisposable {
  /** Throws the reason if it cannot be used: a damaged ISO, or a corrupted disk that could not be remade. */
  get(base: BaseName): Source;
  /** The engine's report of its run; undefined if everything came from the cache. */
  readonly report: EngineReport | undefined;
  /**
   * Call when a result made from `used` came out wrong: reads the base again. A corrupted cached disk is
   * dropped and, with `remake`, made again. Resolves to true if there is a new disk, so that a second try
   * makes sense. Throws if the ISO is damaged.
   */
  doubt(base: BaseName, used: Source, options: { readonly remake: boolean }): Promise<boolean>;
}

/**
 * Opens all `needed` bases: the ISO in place, metal disks from the cache, and those that are not
 * there by one run of the engine, or from files, for all. The ISO is hashed before it is booted, and whenever the user
 * named a copy of their own; otherwise the hashes of the outputs prove what was read of it.
 */
export async function openBases(
  needed: ReadonlySet<BaseName>,
  options: BasesOptions,
): Promise<Bases> {
  const { recipes, cache, signal, progress } = options;
  const sources = new Map<BaseName, Source>();
  const fresh = new Set<BaseName>();
  /** Corrupted disks stay open until the end, because others may still read from them. */
  const rotten: Source[] = [];
  const lost = new Map<BaseName, unknown>();
  const doubts = new Map<BaseName, Promise<boolean>>();
  let report: EngineReport | undefined;
  let provenPath: Promise<string> | undefined;

  const provenIso = () => {
    provenPath ??= findIso(options).then(async (path) => {
      await proveIso(path, options);
      return path;
    });
    return provenPath;
  };
  const make = async (wanted: ReadonlyMap<MetalVariant, MetalBase>) => {
    const made = await makeMetals(wanted, {
      ...options,
      isoPath: provenIso,
      async byOsmet(disks) {
        const iso = await openLiveIso(await provenIso(), { signal });
        return regenerate(disks, { ...options, iso });
      },
    });
    report = made.report;
    for (const [variant, source] of made.sources) {
      sources.set(variant, source);
      lost.delete(variant);
      fresh.add(variant);
    }
  };

  try {
    if (options.isoPath !== undefined) await provenIso();
    if (needed.has('iso')) sources.set('iso', await openSource(await findIso(options), signal));
    const absent = new Map<MetalVariant, MetalBase>();
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

  const readAgain = async (
    base: BaseName,
    used: Source,
    { remake }: { readonly remake: boolean },
  ): Promise<boolean> => {
    if (base === 'iso') {
      await provenIso().catch((error: unknown) => {
        throwIfAborted(signal);
        lost.set(base, error);
        throw error;
      });
      return false;
    }
    if (fresh.has(base)) return false;
    const disk = derivedBase(recipes, base);
    const found = await hashSource(used, { signal }).catch(() => undefined);
    throwIfAborted(signal);
    if (found === disk.sha256) return false;
    progress({
      type: 'note',
      subject: base,
      message: `the cached ${base} disk was damaged and has been dropped (${used.name})`,
    });
    rotten.push(used);
    sources.delete(base);
    lost.set(base, damagedDisk(base, used));
    await cache.evict(disk.sha256);
    if (!remake) return false;
    try {
      await make(new Map([[base, disk]]));
    } catch (error) {
      lost.set(base, error);
      throw error;
    }
    return true;
  };

  return {
    get(base) {
      const source = sources.get(base);
      if (source && !lost.has(base)) return source;
      throw lost.get(base) ?? new Error(`base ${base} was not requested`);
    },
    get report() {
      return report;
    },
    async doubt(base, used, { remake }) {
      await doubts.get(base)?.catch(() => {});
      const current = sources.get(base);
      // Another artifact has already triggered the check, and knows why there is no disk now.
      if (current === undefined && lost.has(base)) throw lost.get(base);
      if (current !== used) return current !== undefined;
      const doubt = readAgain(base, used, { remake });
      doubts.set(base, doubt);
      return doubt;
    },
    async [Symbol.asyncDispose]() {
      for (const source of rotten) await source.close();
      await closeAll(sources);
    },
  };
}

const damagedDisk = (base: BaseName, { name }: Source) =>
  new IntegrityError(`the cached ${base} disk was damaged`, {
    code: 'BASE_DIGEST',
    context: { base, file: name },
    hint: 'try again: the disk will be made again',
  });

function derivedBase({ bases }: IsoOptions['recipes'], variant: MetalVariant): MetalBase {
  const base = bases[variant];
  if (base) return base;
  throw new FormatError(`the recipe manifest does not describe base ${variant}`, {
    code: 'RECIPES_BASE',
    context: { base: variant },
  });
}
