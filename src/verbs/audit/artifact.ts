import type { Bundle } from '../../bundle/read.ts';
import type { RecipeArtifact, Recipes } from '../../bundle/recipes.ts';
import { baseOf } from '../../bundle/recipes.ts';
import { layerText } from '../../bundle/released-layer.ts';
import { refuseUntrusted } from '../../bundle/trust.ts';
import type { CodecPool } from '../../codec/pool.ts';
import type { BlockMemo } from '../../codec/released/context.ts';
import { RehydrateError, throwIfAborted } from '../../core/errors.ts';
import { nullSink } from '../../core/io/sink.ts';
import type { Source } from '../../core/io/source.ts';
import { TargetMismatchError } from '../../core/io/target-mismatch.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import type { Keys } from '../../release/download/signature.ts';
import { deltaSize, madeFrom } from '../inspect/bundle-report.ts';
import { checkMakeable, fileOf, type MadeFile } from '../make/made-file.ts';
import { writeMade } from '../make/write-made.ts';
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
  /** Blocks of .xz files that were compressed before, in this run. */
  readonly blocks?: BlockMemo | undefined;
  /** Released files, to compare wrong artifacts with. */
  readonly folder: string | undefined;
  readonly reportFolder: string;
  readonly label: string;
  /** Judge the released file, not its contents. */
  readonly released?: boolean | undefined;
  /** Check the signature of the release, too. */
  readonly keyring?: Keys | undefined;
  readonly signal: AbortSignal | undefined;
  readonly progress: Progress;
}

/** Makes one artifact, hashes it without keeping it, and judges it. Throws only when cancelled. */
export async function auditArtifact(
  artifact: RecipeArtifact,
  options: AuditArtifactOptions,
): Promise<AuditedArtifact> {
  const { signal, label } = options;
  const { platform, format, file, release } = artifact;
  const made = fileOf(artifact, options);
  const { name, size, sha256, attestation } = made;
  const known = {
    ...{ label, platform, format, file, release, name, sha256, attestation },
    ...(size === undefined ? {} : { size }),
    madeFrom: [...(made.layer ? [layerText(made.layer)] : []), madeFrom(artifact)].join(' < '),
    blobSize: deltaSize(artifact),
  };
  const started = performance.now();
  const ended = () => (performance.now() - started) / 1000;
  let base: Source;
  try {
    refuseUntrusted(options.bundle, options.recipes, artifact);
    checkMakeable(made);
    base = options.bases.get(baseOf(artifact));
  } catch (error) {
    const isUncovered = error instanceof RehydrateError && error.code === 'RELEASED_UNCOVERED';
    const status = isUncovered ? 'UNCOVERED' : statusOf(error);
    return { status, ...known, seconds: 0, error: reportError(error) };
  }
  try {
    await makeIntoNowhere(made, base, options);
    const seconds = ended();
    const map = await mapOrigins({ ...options, artifact, base });
    const signature = options.keyring ? ({ signature: 'good' } as const) : {};
    return { status: 'GOOD', ...known, ...signature, seconds, map };
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
  file: MadeFile,
  base: Source,
  { bundle, pool, blocks, label, keyring, signal, progress }: AuditArtifactOptions,
): Promise<void> {
  const { size: total } = file.artifact;
  await step(progress, { subject: label, phase: 'verify', total }, (onBytes) =>
    writeMade({ file, bundle, base, sink: nullSink(), pool, blocks, keyring, signal, onBytes }),
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
