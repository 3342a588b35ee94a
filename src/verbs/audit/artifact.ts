import type { Bundle } from '../../bundle/read.ts';
import type { RecipeArtifact, Recipes } from '../../bundle/recipes.ts';
import { baseOf } from '../../bundle/recipes.ts';
import { refuseUntrusted } from '../../bundle/trust.ts';
import type { CodecPool } from '../../codec/pool.ts';
import { RehydrateError, throwIfAborted } from '../../core/errors.ts';
import { nullSink } from '../../core/io/sink.ts';
import type { Source } from '../../core/io/source.ts';
import { TargetMismatchError } from '../../core/io/target-mismatch.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { deltaSize, madeFrom } from '../inspect/bundle-report.ts';
import { writeArtifact } from '../make/write-artifact.ts';
import type { AuditBases } from './bases.ts';
import { localise, wrongFile } from './localise.ts';
import { mapOrigins } from './origin-map.ts';
import type { AuditedArtifact } from './report.ts';
import { reportError, statusOf } from './verdict.ts';

export interface AuditArtifactOptions {
  readonly bundle: Bundle;
  readonly recipes: Recipes;
  readonly bases: AuditBases;
  readonly pool: CodecPool;
  /** Released files, to compare wrong artifacts with. */
  readonly folder: string | undefined;
  readonly reportFolder: string;
  readonly label: string;
  readonly signal: AbortSignal | undefined;
  readonly progress: Progress;
}

/** Makes one artifact, hashes it without keeping it, and judges it. Throws only when cancelled. */
export async function auditArtifact(
  artifact: RecipeArtifact,
  options: AuditArtifactOptions,
): Promise<AuditedArtifact> {
  const { signal, label } = options;
  const { platform, format, file, release, name, size, sha256, attestation } = artifact;
  const known = {
    ...{ label, platform, format, file, release, name, size, sha256, attestation },
    madeFrom: madeFrom(artifact),
    blobSize: deltaSize(artifact),
  };
  const started = performance.now();
  const ended = () => (performance.now() - started) / 1000;
  let base: Source;
  try {
    refuseUntrusted(options.bundle, options.recipes, artifact);
    base = options.bases.get(baseOf(artifact));
  } catch (error) {
    return { status: statusOf(error), ...known, seconds: 0, error: reportError(error) };
  }
  try {
    await makeIntoNowhere(artifact, base, options);
    const seconds = ended();
    const map = await mapOrigins({ ...options, artifact, base });
    return { status: 'GOOD', ...known, seconds, map };
  } catch (error) {
    throwIfAborted(signal);
    const status = statusOf(error);
    const seconds = ended();
    const judged = { status, ...known, seconds, ...foundOf(error), error: reportError(error) };
    const more = status === 'BAD' ? await lookCloser(artifact, base, options) : {};
    return { ...judged, ...more };
  }
}

async function makeIntoNowhere(
  artifact: RecipeArtifact,
  base: Source,
  { bundle, pool, label, signal, progress }: AuditArtifactOptions,
): Promise<void> {
  await step(progress, { subject: label, phase: 'verify', total: artifact.size }, (onBytes) =>
    writeArtifact({ artifact, bundle, base, sink: nullSink(), pool, signal, onBytes }),
  );
}

/** Where a BAD artifact differs, if the released file is available, and how it is put together. */
async function lookCloser(
  artifact: RecipeArtifact,
  base: Source,
  { bundle, bases, pool, folder, reportFolder, label, signal, progress }: AuditArtifactOptions,
): Promise<Partial<AuditedArtifact>> {
  const note = (message: string) => progress({ type: 'note', subject: label, message });
  const map = await soft(mapOrigins({ bundle, artifact, base, signal }), signal);
  const found = map instanceof RehydrateError ? {} : { map };
  if (folder === undefined) {
    note('BAD; use --artifacts with the released files to see where it differs');
    return found;
  }
  const keepAt = wrongFile(reportFolder, artifact);
  const guide = () => bases.guide(baseOf(artifact));
  const options = { artifact, bundle, base, pool, signal, folder, keepAt, guide };
  const located = await soft(localise(options), signal);
  if (located instanceof RehydrateError) {
    note(`BAD; cannot show where it differs: ${located.message}`);
    return found;
  }
  const { doubt, ...difference } = located;
  if (doubt) note(`BAD; cannot show where it differs: ${doubt}`);
  return { ...found, ...difference };
}

/** The verdict stands even if the closer look fails. */
async function soft<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T | RehydrateError> {
  try {
    return await promise;
  } catch (error) {
    throwIfAborted(signal);
    if (error instanceof RehydrateError) return error;
    throw error;
  }
}

/** The actual SHA-256. */
function foundOf(error: unknown): Pick<AuditedArtifact, 'found'> {
  if (!(error instanceof TargetMismatchError)) return {};
  const { sha256, size } = error.found;
  return sha256 === undefined ? {} : { found: { sha256, size } };
}
