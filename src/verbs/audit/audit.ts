import type { BaseName } from '../../../images/platforms.ts';
import type { Bundle } from '../../bundle/read.ts';
import { baseOf, type MissingArtifact, type RecipeArtifact } from '../../bundle/recipes.ts';
import { NO_TRUST } from '../../bundle/trust.ts';
import { chooseWork, type WorkRequest } from '../../bundle/work.ts';
import type { CodecPool } from '../../codec/pool.ts';
import type { BlockMemo } from '../../codec/released/context.ts';
import { workerPool } from '../../codec/workers/pool.ts';
import { throwIfAborted } from '../../core/errors.ts';
import { sha256Of } from '../../core/io/digest.ts';
import { forArch, type Progress, silent } from '../../core/progress/progress.ts';
import { sideBySide, valueOrThrow } from '../../core/threads/side-by-side.ts';
import { createTurns, type Turns } from '../../core/threads/turns.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import type { MetalEngine } from '../../engine/engine.ts';
import type { Containers } from '../../engine/files/sources/open-container.ts';
import type { Keys } from '../../release/download/signature.ts';
import { shortName } from '../../release/stream/artifacts.ts';
import { blockMemoFor, memoFor } from '../make/memos.ts';
import { refuseContainers } from '../make/metals.ts';
import { matchIsos } from '../rehydrate/iso.ts';
import { type Reduced, withoutIso } from '../rehydrate/without-iso.ts';
import { auditArtifact } from './artifact.ts';
import { openAuditBases } from './bases.ts';
import { compositionOf } from './composition.ts';
import {
  AUDIT_VERSION,
  type AuditedArchitecture,
  type AuditedArtifact,
  type AuditReport,
} from './report.ts';
import { trustRecord } from './trust-record.ts';
import { countStatuses, worstOf } from './verdict.ts';

export interface AuditOptions extends WorkRequest {
  readonly bundle: Bundle;
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
  /** How many artifacts are worked on at a time; 1 if undefined. Never affects a result. */
  readonly jobs?: number | undefined;
  /** How many architectures are, because each may need a VM; as many as `jobs` if undefined. */
  readonly boots?: number | undefined;
  /** Copies of the ISO outside the bundle, one per architecture at most. */
  readonly isoPaths?: readonly string[] | undefined;
  /** Sources of the base `files`, instead of the ISO. */
  readonly containers?: Containers | undefined;
  /** Folder with released files, to compare wrong artifacts with. */
  readonly folder?: string | undefined;
  /** The folder of the report. Wrong files that could be compared are kept in its folder `bad`. */
  readonly reportFolder: string;
  /** Versions of the programs and libraries involved. */
  readonly tools: Readonly<Record<string, string>>;
  /** Judge the released files, not their contents. */
  readonly released?: boolean | undefined;
  /** Check the signatures of the release, which the bundle carries, with these keys. */
  readonly keyring?: Keys | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
  /** Called as soon as each artifact is judged. */
  readonly onResult?: ((architecture: string, artifact: AuditedArtifact) => void) | undefined;
}

/**
 * Makes every requested artifact, hashes it without keeping it, and judges it by its SHA-256. Neither a
 * wrong artifact nor one that could not be tried stops the others. Throws if the request as a whole is
 * wrong, and CancelledError.
 */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const {
    bundle,
    engine,
    selection,
    arches,
    shard,
    jobs = 1,
    boots = jobs,
    signal,
    tools,
  } = options;
  const progress = options.progress ?? silent;
  const started = new Date().toISOString();
  const { architectures: chosen } = chooseWork(options, progress);
  for (const { recipes } of chosen) refuseContainers(recipes, options.containers);
  const work = await withoutIso(chosen, options, progress);
  const isos = await matchIsos(options.isoPaths ?? [], work, options.signal);
  await using memo = await memoFor(work, options.cache);
  await using blocks = await blockMemoFor(work, options.cache, options);
  await using pool = workerPool(undefined, memo?.shared);
  const turns = createTurns(jobs);
  const settled = await sideBySide(work, boots, (one) =>
    auditArch(one, {
      ...options,
      pool,
      blocks,
      turns,
      isoPath: isos.get(one.recipes.architecture),
      progress: forArch(progress, one.recipes.architecture, { several: work.length > 1 }),
    }),
  );
  throwIfAborted(signal);
  const architectures = settled.map(valueOrThrow);
  const counts = countStatuses(architectures);
  const { platforms, formats } = selection;
  return {
    type: 'audit',
    schemaVersion: AUDIT_VERSION,
    verdict: worstOf(counts),
    counts,
    tools: { ...tools },
    bundle: { path: bundle.origin ?? bundle.path, index: bundle.digest },
    request: {
      engine: engine.name,
      arches: arches === 'all' ? ['all'] : [...arches],
      platforms: [...platforms],
      ...(formats ? { formats: [...formats] } : {}),
      ...(options.released ? { released: true } : {}),
      ...(options.keyring ? { keyring: sha256Of(options.keyring.keys) } : {}),
      ...(shard ? { shard: { ...shard } } : {}),
      trust: trustRecord(bundle.trust ?? NO_TRUST),
    },
    started,
    finished: new Date().toISOString(),
    architectures,
  };
}

interface ArchAuditOptions extends AuditOptions {
  readonly pool: CodecPool;
  readonly blocks: BlockMemo | undefined;
  readonly turns: Turns;
  readonly isoPath: string | undefined;
  readonly progress: Progress;
}

async function auditArch(
  { recipes, artifacts, uncovered, leftOut }: Reduced,
  options: ArchAuditOptions,
): Promise<AuditedArchitecture> {
  const { bundle, folder, released, keyring, signal, progress, turns, reportFolder } = options;
  const { pool, blocks } = options;
  const { architecture, release, stream, iso } = recipes;
  const started = performance.now();
  const nameOf = (artifact: RecipeArtifact) => shortName(artifact, recipes.artifacts);
  const needed = new Set<BaseName>(artifacts.map(baseOf));
  const found: AuditedArtifact[] = [];
  const judged = (artifact: AuditedArtifact) => {
    found.push(artifact);
    options.onResult?.(architecture, artifact);
  };
  const disks = [...needed].flatMap((base) => {
    const disk = base === 'iso' ? undefined : recipes.bases[base];
    return disk ? [{ base, ...disk }] : [];
  });
  let engine: AuditedArchitecture['engine'];
  if (artifacts.length > 0) {
    await using bases = await openAuditBases(needed, { ...options, recipes });
    const settled = await sideBySide(artifacts, artifacts.length, async (artifact, earlier) => {
      const label = nameOf(artifact);
      const how = { bundle, recipes, bases, pool, blocks, folder, reportFolder, label };
      const one = await turns.run(async () => {
        throwIfAborted(signal);
        return auditArtifact(artifact, { ...how, released, keyring, signal, progress });
      });
      await earlier;
      judged(one);
    });
    settled.map(valueOrThrow);
    const { report } = bases;
    if (report) {
      engine = { engine: report.engine, detail: report.detail, seconds: { ...report.seconds } };
    }
  }
  const everything = [...recipes.artifacts, ...recipes.missing];
  for (const artifact of uncovered) judged(uncoveredOf(artifact, shortName(artifact, everything)));
  const { name, sha256, size, embedded } = iso;
  return {
    architecture,
    release,
    stream: stream.name,
    iso: { name, sha256, size, embedded },
    disks,
    ...(engine ? { engine } : {}),
    ...(leftOut.length > 0 ? { leftOut: leftOut.map(nameOf) } : {}),
    composition: compositionOf(recipes),
    seconds: (performance.now() - started) / 1000,
    artifacts: found,
  };
}

function uncoveredOf(
  { platform, format, file, release, name, reason }: MissingArtifact,
  label: string,
): AuditedArtifact {
  const error = { kind: 'unsupported', code: 'ARTIFACT_MISSING', message: reason, causes: [] };
  return {
    ...{ status: 'UNCOVERED', label, platform, format, file, release, name },
    ...{ seconds: 0, error },
  };
}
