import { join } from 'node:path';
import type { MetalVariant } from '../../../images/platforms.ts';
import { IntegrityError, UnsupportedError } from '../../core/errors.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import type { Source } from '../../core/io/source.ts';
import { closeAll } from '../../core/io/source.ts';
import { checkRoom, checkSize } from '../../core/plausible.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import type { LiveIso, OsmetEntry } from '../../formats/iso/live-iso.ts';
import type { EngineReport, MetalEngine } from '../engine.ts';
import type { MetalCache } from './metal-cache.ts';

export interface RegenerateOptions {
  readonly iso: LiveIso;
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
}

export type MetalSources = Map<MetalVariant, Source>;

/** The ISO's osmet of a variant. Throws UnsupportedError `ISO_NO_OSMET`. */
export function osmetOf(iso: LiveIso, variant: MetalVariant): OsmetEntry {
  const osmet = iso.osmets.find((entry) => entry.variant === variant);
  if (osmet === undefined) {
    throw new UnsupportedError(`the ISO has no ${variant} osmet`, {
      code: 'ISO_NO_OSMET',
      context: { iso: iso.path, osmets: iso.osmets.map(({ name }) => name).join(', ') || 'none' },
      hint: 'use a live ISO with osmet files, such as those of Fedora CoreOS and RHCOS',
    });
  }
  return osmet;
}

/**
 * Runs the engine once for all `wanted` disks, proves each and moves it into the cache. The caller closes
 * the returned sources. Throws IntegrityError `OSMET_DIFFERS` if the ISO's osmet is for another disk.
 */
export async function regenerate(
  wanted: ReadonlyMap<MetalVariant, BlobRef>,
  { iso, engine, cache, signal, progress }: RegenerateOptions,
): Promise<{ sources: MetalSources; report: EngineReport }> {
  const scratch = await cache.scratch();
  const disks = [...wanted].map(([variant, base]) => {
    const osmet = osmetOf(iso, variant);
    if (osmet.checksum !== base.sha256 || osmet.diskSize !== base.size) {
      throw new IntegrityError(`the ISO's ${variant} osmet is not the one of the bundle`, {
        code: 'OSMET_DIFFERS',
        context: { expected: base.sha256, found: osmet.checksum, iso: iso.path },
        hint: 'use the ISO that the bundle was made from',
      });
    }
    checkSize(`the ${variant} disk of the ISO`, osmet.diskSize);
    return { variant, base, osmet, output: join(scratch, `${iso.arch}-${variant}.raw`) };
  });
  const mapped = disks.reduce((sum, { osmet }) => sum + osmet.mappedBytes, 0);
  await checkRoom(scratch, mapped, disks.map(({ variant }) => `the ${variant} disk`).join(' and '));
  const report = await engine.regenerate({
    iso,
    disks: disks.map(({ osmet, output }) => ({ osmet, output })),
    ...(signal ? { signal } : {}),
    progress,
  });
  const sources: MetalSources = new Map();
  try {
    for (const { variant, base, output } of disks) {
      const { result } = await step(
        progress,
        { subject: variant, phase: 'check-base', total: base.size },
        (onBytes) =>
          cache.admit(output, base, { digest: report.digests?.[variant], signal, onBytes }),
      );
      sources.set(variant, result);
    }
  } catch (error) {
    await closeAll(sources);
    throw error;
  }
  return { sources, report };
}
