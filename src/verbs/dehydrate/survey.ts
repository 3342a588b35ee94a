import type { Arch } from '../../core/arch.ts';
import { throwIfAborted } from '../../core/errors.ts';
import { osmetOf } from '../../engine/cache/regenerate.ts';
import { findReleased } from '../../release/files/released.ts';
import { isoArtifact, type StreamArtifact, shortName } from '../../release/stream/artifacts.ts';
import { fileMissing, refuseOtherRelease } from './artifact.ts';
import { type Allowance, concernsArtifact, type Failure, refuseFailures } from './failures.ts';
import { type FoundIso, findIso } from './iso.ts';

/** What names, releases and the ISO's headers tell of an architecture, before any work on it. */
export interface Survey {
  readonly arch: Arch;
  readonly artifacts: readonly StreamArtifact[];
  readonly iso: FoundIso;
  /** The disks that the ISO's osmets promise: metal always, metal4k where there is one. */
  readonly wanted: ReturnType<typeof promisedDisks>;
}

export interface SurveyOptions {
  readonly folder: string;
  readonly allowed: Allowance;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Minutes of booting are not spent before what a look at the folder can tell. Throws what `findIso`
 * throws, and one error over all artifacts that are missing unallowed.
 */
export async function surveyArch(
  arch: Arch,
  artifacts: readonly StreamArtifact[],
  { folder, allowed, signal }: SurveyOptions,
): Promise<Survey> {
  throwIfAborted(signal);
  const iso = await findIso(isoArtifact(artifacts, arch), { arch, folder, signal });
  const wanted = promisedDisks(iso);
  const derivable = new Set<string>([...wanted.values()].map(({ sha256 }) => sha256));
  refuseFailures(await foreseeFailures(artifacts, iso.artifact, derivable, folder), allowed);
  return { arch, artifacts, iso, wanted };
}

function promisedDisks({ live }: FoundIso) {
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

/** What a look at names and releases tells, without reading any file. */
async function foreseeFailures(
  artifacts: readonly StreamArtifact[],
  iso: StreamArtifact,
  derivable: ReadonlySet<string>,
  folder: string,
): Promise<Failure[]> {
  const failures: Failure[] = [];
  for (const artifact of artifacts) {
    const label = shortName(artifact, artifacts);
    try {
      refuseOtherRelease(artifact, iso.release);
      const needsNoFile = artifact.sha256 !== undefined && derivable.has(artifact.sha256);
      if (!needsNoFile && !(await findReleased(folder, artifact))) throw fileMissing(artifact);
    } catch (error) {
      if (!concernsArtifact(error)) throw error;
      failures.push({ artifact, label, error });
    }
  }
  return failures;
}
