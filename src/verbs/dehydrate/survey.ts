import type { MetalVariant } from '../../../images/platforms.ts';
import type { Arch } from '../../core/arch.ts';
import { throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { type Progress, silent } from '../../core/progress/progress.ts';
import { osmetOf } from '../../engine/cache/regenerate.ts';
import type { MetalEngine } from '../../engine/engine.ts';
import type { Containers } from '../../engine/files/sources/open-container.ts';
import { findReleased } from '../../release/files/released.ts';
import { requireTool } from '../../release/files/require-tool.ts';
import { isoArtifact, type StreamArtifact, shortName } from '../../release/stream/artifacts.ts';
import { refuseEngine } from '../make/metals.ts';
import { fileMissing, refuseOtherRelease } from './checks.ts';
import { type Allowance, concernsArtifact, type Failure, refuseFailures } from './failures.ts';
import { type BaseChoice, type FoundIso, findIso } from './iso.ts';
import { metalArtifact } from './released-metal.ts';

/** Facts about an architecture from names, releases and the ISO's headers, before any work. */
export interface Survey {
  readonly arch: Arch;
  readonly artifacts: readonly StreamArtifact[];
  readonly iso: FoundIso;
  /** The disks that the ISO's osmets unpack to: always metal, and metal4k if there is one; none without osmets. */
  readonly wanted: ReadonlyMap<MetalVariant, BlobRef>;
  /** The source from which a bundle makes the disks. */
  readonly road: 'osmet' | 'files';
}

export interface SurveyOptions {
  readonly folder: string;
  readonly allowed: Allowance;
  readonly engine: MetalEngine;
  readonly base?: BaseChoice;
  readonly containers?: Containers | undefined;
  readonly progress?: Progress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds the problems that the folder shows before time is spent on booting. Throws what `findIso` throws,
 * one error for all artifacts that are missing and must not be, and ToolError `TOOL_MISSING`.
 */
export async function surveyArch(
  arch: Arch,
  artifacts: readonly StreamArtifact[],
  { folder, allowed, engine, containers, signal, progress = silent, ...options }: SurveyOptions,
): Promise<Survey> {
  throwIfAborted(signal);
  const elsewhere = (containers?.names.length ?? 0) > 0;
  const base = options.base ?? (elsewhere ? 'files' : undefined);
  const how = { arch, folder, base, elsewhere, signal };
  const iso = await findIso(isoArtifact(artifacts, arch), how);
  const wanted = promisedDisks(iso);
  const road = iso.live && base !== 'files' ? 'osmet' : 'files';
  if (iso.live === undefined) {
    refuseEngine(engine);
    noteFiles(arch, base, progress);
    const metal = metalArtifact(artifacts, 'metal');
    if (metal === undefined) throw noMetal();
    if (!(await findReleased(folder, metal))) throw fileMissing(metal);
  }
  const derivable = new Set<string>([...wanted.values()].map(({ sha256 }) => sha256));
  refuseFailures(await foreseeFailures(artifacts, iso.artifact, derivable, folder), allowed);
  return { arch, artifacts, iso, wanted, road };
}

function noteFiles(arch: Arch, base: BaseChoice, progress: Progress): void {
  if (base === 'files') return;
  const message =
    'the ISO has no osmet, so the disks are made from its files (as with --base files)';
  progress({ type: 'note', subject: arch, message });
}

function noMetal(): UnsupportedError {
  return new UnsupportedError('the stream has no metal image, and the ISO no osmet to make one', {
    code: 'FILE_MISSING',
    hint: 'use the stream JSON of the release, with its `metal` artifact',
  });
}

function promisedDisks({ live }: FoundIso): ReadonlyMap<MetalVariant, BlobRef> {
  if (live === undefined) return new Map();
  const variants = (['metal', 'metal4k'] as const).filter(
    (variant) => variant === 'metal' || live.osmets.some((osmet) => osmet.variant === variant),
  );
  return new Map(
    variants.map((variant) => {
      const { checksum, diskSize } = osmetOf(live, variant);
      return [variant, { sha256: checksum, size: diskSize }] as const;
    }),
  );
}

/** The part of the survey that needs only names and releases, without reading any file. */
async function foreseeFailures(
  artifacts: readonly StreamArtifact[],
  iso: StreamArtifact,
  derivable: ReadonlySet<string>,
  folder: string,
): Promise<Failure[]> {
  const failures: Failure[] = [];
  let needsXz = false;
  for (const artifact of artifacts) {
    const label = shortName(artifact, artifacts);
    try {
      refuseOtherRelease(artifact, iso.release);
      const needsNoFile = artifact.sha256 !== undefined && derivable.has(artifact.sha256);
      const file = await findReleased(folder, artifact);
      if (file?.compression === 'xz') needsXz = true;
      if (!needsNoFile && file === undefined) throw fileMissing(artifact);
    } catch (error) {
      if (!concernsArtifact(error, artifact, folder)) throw error;
      failures.push({ artifact, label, error });
    }
  }
  if (needsXz) await requireTool('xz');
  return failures;
}
