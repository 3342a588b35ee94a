import { dirname, join } from 'node:path';
import * as v from 'valibot';
import type { MetalVariant } from '../../../images/platforms.ts';
import { throwIfAborted } from '../../core/errors.ts';
import { writeAtomically } from '../../core/io/atomic.ts';
import type { BlobRef, Sha256 } from '../../core/io/digest.ts';
import { makeFolder } from '../../core/io/folders.ts';
import { hashSource } from '../../core/io/hash-file.ts';
import { readWhole } from '../../core/io/regular.ts';
import { closeAll } from '../../core/io/source.ts';
import { canonicalJson } from '../../core/json/canonical.ts';
import { sha256Field, textField } from '../../core/json/fields.ts';
import { parseJson } from '../../core/json/parse.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import type { LiveIso } from '../../formats/iso/live-iso.ts';
import type { EngineReport, MetalEngine } from '../engine.ts';
import type { MetalCache } from './metal-cache.ts';
import { type MetalSources, regenerate } from './regenerate.ts';

/**
 * Records which ISO an engine has actually unpacked, and into which disks: `<dir>/runs/<SHA-256 of the
 * ISO>.json`.
 *
 * A bundle is based on an actual run of its ISO, not on a disk that merely has the right hash. The record
 * lets a second `dehydrate` of the same ISO reuse the first one's run; the disks are still hashed again.
 */
const runSchema = v.object({
  engine: v.picklist(['qemu', 'native', 'both']),
  detail: textField(1024),
  disks: v.record(v.picklist(['metal', 'metal4k']), sha256Field),
});

const MAX_RECORD = 64 << 10;

const pathOf = (cache: MetalCache, iso: Sha256) => join(cache.dir, 'runs', `${iso}.json`);

type Wanted = ReadonlyMap<MetalVariant, BlobRef>;

export interface DisksOptions extends RecallOptions {
  readonly cache: MetalCache;
}

/**
 * The disks of an ISO, from the cache if an equivalent engine has made them from this ISO before, otherwise
 * from the engine. The caller closes the sources. Throws what {@link regenerate} throws.
 */
export async function disksOf(
  iso: { readonly live: LiveIso; readonly sha256: Sha256 },
  wanted: Wanted,
  options: DisksOptions,
): Promise<{ sources: MetalSources; report: EngineReport }> {
  const { cache } = options;
  const recalled = await recallRun(cache, iso.sha256, wanted, options);
  if (recalled) return recalled;
  const made = await regenerate(wanted, { ...options, iso: iso.live });
  try {
    await rememberRun(cache, iso.sha256, wanted, made.report);
    return made;
  } catch (error) {
    await closeAll(made.sources);
    throw error;
  }
}

export async function rememberRun(
  cache: MetalCache,
  iso: Sha256,
  wanted: Wanted,
  { engine, detail }: EngineReport,
): Promise<void> {
  const disks = Object.fromEntries([...wanted].map(([variant, { sha256 }]) => [variant, sha256]));
  const path = pathOf(cache, iso);
  await makeFolder(dirname(path));
  await writeAtomically(path, (sink) =>
    sink.write(canonicalJson({ engine, detail: detail.slice(0, 1024), disks })),
  );
}

export interface RecallOptions {
  /** The engine that would run now. */
  readonly engine: MetalEngine;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
}

/**
 * The disks of an earlier run of this ISO, each proved by a fresh read; undefined if no equivalent engine
 * has run, or if a disk is no longer in the cache or is corrupted.
 */
export async function recallRun(
  cache: MetalCache,
  iso: Sha256,
  wanted: Wanted,
  { engine, signal, progress }: RecallOptions,
): Promise<{ sources: MetalSources; report: EngineReport } | undefined> {
  const path = pathOf(cache, iso);
  const bytes = await readWhole(path, { limit: MAX_RECORD, what: 'record of a run', signal }).catch(
    () => undefined,
  );
  throwIfAborted(signal);
  if (bytes === undefined) return undefined;
  const run = parseRun(bytes, path);
  if (run === undefined || !serves(run.engine, engine.name)) return undefined;
  const sources: MetalSources = new Map();
  try {
    for (const [variant, base] of wanted) {
      const source = run?.disks[variant] === base.sha256 ? await cache.lookup(base) : undefined;
      if (source === undefined) break;
      sources.set(variant, source);
      const { result } = await step(
        progress,
        { subject: variant, phase: 'check-base', total: base.size },
        (onBytes) => hashSource(source, { signal, onBytes }),
      );
      if (result !== base.sha256) {
        await cache.evict(base.sha256);
        break;
      }
      if (run && sources.size === wanted.size) {
        const detail = `${run.detail}; an earlier run of this ISO, its disks read again`;
        return { sources, report: { engine: run.engine, detail, seconds: {} } };
      }
    }
  } catch (error) {
    await closeAll(sources);
    throw error;
  }
  await closeAll(sources);
  return undefined;
}

/** Whether a run of the engine `done` satisfies a user who chose `wanted`. */
function serves(done: EngineReport['engine'], wanted: MetalEngine['name']): boolean {
  switch (wanted) {
    case 'both':
      return done === 'both';
    case 'qemu':
      return done !== 'native';
    case 'native':
      return done !== 'qemu';
    case 'auto':
      return true;
  }
}

/** A damaged record, or one of another version, is ignored. */
function parseRun(bytes: Uint8Array, path: string) {
  try {
    return parseJson(bytes, runSchema, { what: 'record of a run', source: path });
  } catch {
    return undefined;
  }
}
