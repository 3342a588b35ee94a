import type { BaseName, MetalVariant } from '../../../images/platforms.ts';
import { throwIfAborted } from '../../core/errors.ts';
import { closeAll, openSource, type Source } from '../../core/io/source.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import { disksOf } from '../../engine/cache/provenance.ts';
import type { EngineReport, MetalEngine } from '../../engine/engine.ts';
import type { LiveIso } from '../../formats/iso/live-iso.ts';
import { openLiveIso } from '../../formats/iso/open.ts';
import { objectName, readOsmet } from '../../formats/iso/osmet.ts';
import { findIso, type IsoOptions, proveIso } from '../rehydrate/iso.ts';
import { type DiskGuide, openDiskGuide } from './regions/disk.ts';

export interface AuditBasesOptions extends IsoOptions {
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
}

/** What an audit makes artifacts from. Each base is proved, or there is an error instead of it. */
export interface AuditBases extends AsyncDisposable {
  /** Throws why the base cannot be had. */
  get(base: BaseName): Source;
  readonly report: EngineReport | undefined;
  /** Tells of a disk; undefined for the ISO. Read when first asked for. */
  guide(base: BaseName): Promise<DiskGuide | undefined>;
}

/**
 * Proves the ISO by a whole read, and has the `needed` disks made of it by the engine, or proved by a
 * read if an engine like it has made them of this very ISO before. Never throws but when cancelled: what
 * cannot be had fails those that need it, and no others.
 */
export async function openAuditBases(
  needed: ReadonlySet<BaseName>,
  options: AuditBasesOptions,
): Promise<AuditBases> {
  const { recipes, signal } = options;
  const sources = new Map<BaseName, Source>();
  const disks = new Map<MetalVariant, Source>();
  const errors = new Map<BaseName, unknown>();
  const guides = new Map<BaseName, Promise<DiskGuide>>();
  let report: EngineReport | undefined;
  let live: LiveIso | undefined;

  const attempt = async (bases: readonly BaseName[], body: () => Promise<void>) => {
    try {
      await body();
    } catch (error) {
      throwIfAborted(signal);
      for (const base of bases) errors.set(base, error);
    }
  };
  await attempt(['iso', 'metal', 'metal4k'], async () => {
    const path = await findIso(options);
    await proveIso(path, options);
    sources.set('iso', await openSource(path));
  });
  const variants = (['metal', 'metal4k'] as const).filter((variant) => needed.has(variant));
  const isoPath = sources.get('iso')?.name;
  if (variants.length > 0 && isoPath !== undefined) {
    await attempt(variants, async () => {
      live = await openLiveIso(isoPath, { signal });
      const wanted = new Map(
        variants.flatMap((variant) => {
          const base = recipes.bases[variant];
          return base ? [[variant, base] as const] : [];
        }),
      );
      const made = await disksOf({ live, sha256: recipes.iso.sha256 }, wanted, options);
      report = made.report;
      for (const [variant, source] of made.sources) disks.set(variant, source);
    });
  }
  return {
    get(base) {
      const source = base === 'iso' ? sources.get(base) : disks.get(base);
      if (source) return source;
      throw errors.get(base) ?? new Error(`base ${base} was not asked for`);
    },
    get report() {
      return report;
    },
    async guide(base) {
      const disk = base === 'iso' ? undefined : disks.get(base);
      if (disk === undefined || base === 'iso') return undefined;
      const known = guides.get(base) ?? guideOf(disk, base, live, signal);
      guides.set(base, known);
      return known;
    },
    async [Symbol.asyncDispose]() {
      await closeAll(sources);
      await closeAll(disks);
    },
  };
}

/** The ISO's osmet knows which OSTree object is where on the disk. */
async function guideOf(
  disk: Source,
  variant: MetalVariant,
  live: LiveIso | undefined,
  signal: AbortSignal | undefined,
): Promise<DiskGuide> {
  const entry = live?.osmets.find((osmet) => osmet.variant === variant);
  if (live === undefined || entry === undefined) return openDiskGuide(disk);
  await using iso = await openSource(live.path);
  const { offset: start, length } = entry;
  const { partitions } = await readOsmet(iso, { start, length, signal, name: entry.name });
  return openDiskGuide(disk, {
    objects(offset) {
      for (const { start: first, mappings } of partitions) {
        const { count, physical, length: lengths } = mappings;
        for (let i = 0; i < count; i++) {
          const at = first + (physical[i] ?? 0);
          if (offset < at || offset >= at + (lengths[i] ?? 0)) continue;
          return `file of OSTree object ${objectName(mappings, i)}`;
        }
      }
      return undefined;
    },
  });
}
