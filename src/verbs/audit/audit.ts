import type { BaseName } from '../../../images/platforms.ts';
import type { MissingArtifact } from '../../bundle/recipes.ts';
import { baseOf } from '../../bundle/recipes.ts';
import { type ArchWork, chooseWork, type WorkRequest } from '../../bundle/work.ts';
import type { CodecPool } from '../../codec/pool.ts';
import { workerPool } from '../../codec/workers/pool.ts';
import { throwIfAborted } from '../../core/errors.ts';
import { forArch, type Progress, silent } from '../../core/progress/progress.ts';
import { sideBySide, valueOrThrow } from '../../core/threads/side-by-side.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import type { MetalEngine } from '../../engine/engine.ts';
import { shortName } from '../../release/stream/artifacts.ts';
import { matchIsos } from '../rehydrate/iso.ts';
import { auditArtifact } from './artifact.ts';
import { openAuditBases } from './bases.ts';
import { compositionOf } from './composition.ts';
import {
  AUDIT_VERSION,
  type AuditedArchitecture,
  type AuditedArtifact,
  type AuditReport,
} from './report.ts';
import { countStatuses, worstOf } from './verdict.ts';

export interface AuditOptions extends WorkRequest {
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
  /** How many architectures are worked on at a time; 1 if undefined. */
  readonly jobs?: number | undefined;
  /** Copies of the ISO outside the bundle, one per architecture at most. */
  readonly isoPaths?: readonly string[] | undefined;
  /** Folder with released files, to compare with what comes out wrong. */
  readonly folder?: string | undefined;
  /** Where the report goes; wrong files are kept in it, under `bad`, if they could be compared. */
  readonly reportFolder: string;
  /** Programs and libraries that take part, with their versions. */
  readonly tools: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
  /** Called as soon as each artifact is judged. */
  readonly onResult?: ((architecture: string, artifact: AuditedArtifact) => void) | undefined;
}

/**
 * Makes every artifact that is asked for, into nowhere, and judges each by its SHA-256. Neither a wrong
 * artifact nor one that could not be tried stops the others. Throws what is wrong with the request as
 * a whole, and CancelledError.
 */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const { bundle, engine, selection, arches, shard, jobs = 1, signal, tools } = options;
  const progress = options.progress ?? silent;
  const started = new Date().toISOString();
  const { architectures: work } = chooseWork(options, progress);
  const isos = await matchIsos(options.isoPaths ?? [], work);
  await using pool = workerPool();
  const settled = await sideBySide(work, jobs, (one) =>
    auditArch(one, {
      ...options,
      pool,
      isoPath: isos.get(one.recipes.architecture),
      progress: forArch(progress, one.recipes.architecture, work.length > 1),
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
    bundle: { path: bundle.path, index: bundle.digest },
    request: {
      engine: engine.name,
      arches: arches === 'all' ? ['all'] : [...arches],
      platforms: [...platforms],
      ...(formats ? { formats: [...formats] } : {}),
      ...(shard ? { shard: { ...shard } } : {}),
    },
    started,
    finished: new Date().toISOString(),
    architectures,
  };
}

interface ArchAuditOptions extends AuditOptions {
  readonly pool: CodecPool;
  readonly isoPath: string | undefined;
  readonly progress: Progress;
}

async function auditArch(
  { recipes, artifacts, uncovered }: ArchWork,
  options: ArchAuditOptions,
): Promise<AuditedArchitecture> {
  const { bundle, folder, signal, progress, pool, reportFolder } = options;
  const { architecture, release, stream, iso } = recipes;
  const started = performance.now();
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
    for (const artifact of artifacts) {
      throwIfAborted(signal);
      const label = shortName(artifact, recipes.artifacts);
      const how = { bundle, bases, pool, folder, reportFolder, label, signal, progress };
      judged(await auditArtifact(artifact, how));
    }
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
