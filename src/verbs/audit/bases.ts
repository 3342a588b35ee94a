import type { BaseName, MetalVariant } from '../../../images/platforms.ts';
import { throwIfAborted } from '../../core/errors.ts';
import { closeAll, openSource, type Source } from '../../core/io/source.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import { disksOf } from '../../engine/cache/provenance.ts';
import type { EngineReport, MetalEngine } from '../../engine/engine.ts';
import type { LiveIso } from '../../formats/iso/live-iso.ts';
import { openLiveIso } from '../../formats/iso/open.ts';
import { objectName } from '../../formats/iso/osmet.ts';
import { osmetOf } from '../../formats/iso/rootfs.ts';
import { type MetalsOptions, makeMetals } from '../make/metals.ts';
import { findIso, type IsoOptions, proveIso } from '../rehydrate/iso.ts';
import { type DiskGuide, openDiskGuide } from './regions/disk.ts';

export interface AuditBasesOptions extends IsoOptions, Pick<MetalsOptions, 'containers'> {
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
}

/** The bases that an audit makes artifacts from. Each is proved, or has an error instead. */
export interface AuditBases extends AsyncDisposable {
  /** Throws the reason if the base is not available. */
  get(base: BaseName): Source;
  readonly report: EngineReport | undefined;
  /** Describes a disk; undefined for the ISO. Read on first use. */
  guide(base: BaseName): Promise<DiskGuide | undefined>;
}

/**
 * Proves the ISO by reading it all, and gets the `needed` disks: the engine makes them from the ISO, or, if
 * an equivalent engine has made them from this ISO before, they are read and proved. Throws only when
 * cancelled: a missing base fails the artifacts that need it, and no others.
 */
export async function openAuditBases(
  needed: ReadonlySet<BaseName>,
  options: AuditBasesOptions,
): Promise<AuditBases> {
  const { recipes, containers, signal } = options;
  const fromContainers = recipes.files !== undefined && (containers?.names.length ?? 0) > 0;
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
  const ofIso = fromContainers ? (['iso'] as const) : (['iso', 'metal', 'metal4k'] as const);
  if (needed.has('iso') || !fromContainers)
    await attempt(ofIso, async () => {
      const path = await findIso(options);
      await proveIso(path, options);
      sources.set('iso', await openSource(path, signal));
    });
  const variants = (['metal', 'metal4k'] as const).filter((variant) => needed.has(variant));
  const isoPath = sources.get('iso')?.name;
  if (variants.length > 0 && (isoPath !== undefined || fromContainers)) {
    await attempt(variants, async () => {
      const wanted = new Map(
        variants.flatMap((variant) => {
          const base = recipes.bases[variant];
          return base ? [[variant, base] as const] : [];
        }),
      );
      const made = await makeMetals(wanted, {
        ...options,
        async isoPath() {
          if (isoPath !== undefined) return isoPath;
          throw errors.get('iso') ?? new Error('there is no ISO');
        },
        async byOsmet(disks) {
          live = await openLiveIso(isoPath ?? '', { signal });
          return disksOf({ live, sha256: recipes.iso.sha256 }, disks, options);
        },
      });
      report = made.report;
      for (const [variant, source] of made.sources) disks.set(variant, source);
    });
  }
  return {
    get(base) {
      const source = base === 'iso' ? sources.get(base) : disks.get(base);
      if (source) return source;
      throw errors.get(base) ?? new Error(`base ${base} was not requested`);
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

/** The ISO's osmet records which OSTree object is where on the disk. */
async function guideOf(
  disk: Source,
  variant: MetalVariant,
  live: LiveIso | undefined,
  signal: AbortSignal | undefined,
): Promise<DiskGuide> {
  const entry = live?.osmets.find((osmet) => osmet.variant === variant);
  if (live === undefined || entry === undefined) return openDiskGuide(disk);
  await using iso = await openSource(live.path);
  const { partitions } = await osmetOf(iso, entry, signal);
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
