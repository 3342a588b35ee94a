import { join } from 'node:path';
import {
  FormatError,
  IntegrityError,
  IoError,
  type RehydrateError,
  UnsupportedError,
  UsageError,
} from '../../core/errors.ts';
import { oneLine } from '../../core/text/printable.ts';
import { suggestion } from '../../core/text/suggest.ts';
import {
  type ArtifactId,
  nameMatches,
  type StreamArtifact,
  shortName,
} from '../../release/stream/artifacts.ts';

/** An artifact that the bundle will not contain. */
export interface Failure {
  readonly artifact: StreamArtifact;
  /** Short name, for people. */
  readonly label: string;
  readonly error: RehydrateError;
}

/** Which artifacts may be missing, as `--allow-missing` names them. */
export interface Allowance {
  allows(id: ArtifactId): boolean;
}

/** Throws UsageError `ALLOW_UNKNOWN` for a name that matches no artifact, since it may be a typo. */
export function allowance(names: readonly string[], artifacts: readonly ArtifactId[]): Allowance {
  const unknown = names.find((name) => !artifacts.some((id) => nameMatches(name, id)));
  if (unknown !== undefined) {
    const known = artifacts.flatMap((id) => [id.platform, shortName(id, artifacts)]);
    throw new UsageError(`--allow-missing ${unknown} names no artifact of the stream`, {
      code: 'ALLOW_UNKNOWN',
      hint: `${suggestion(unknown, known)}use names such as ${artifacts
        .slice(0, 4)
        .map((id) => shortName(id, artifacts))
        .join(', ')}`,
    });
  }
  return { allows: (id) => names.some((name) => nameMatches(name, id)) };
}

/**
 * Whether an error is about the artifact alone: it is wrong, or the system refuses to read its file.
 * Everything else (disk full, xz missing) ends the whole run.
 */
export function concernsArtifact(
  error: unknown,
  { releasedName, name }: Pick<StreamArtifact, 'releasedName' | 'name'>,
  folder: string,
): error is FormatError | IntegrityError | UnsupportedError | IoError {
  if (error instanceof IoError) {
    const { path } = error.context;
    return path === join(folder, releasedName) || path === join(folder, name);
  }
  return (
    error instanceof FormatError ||
    error instanceof IntegrityError ||
    error instanceof UnsupportedError
  );
}

/** Throws one error that names every failure that is not allowed. */
export function refuseFailures(failures: readonly Failure[], allowed: Allowance): void {
  const fatal = failures.filter(({ artifact }) => !allowed.allows(artifact));
  const [first] = fatal;
  if (first === undefined) return;
  const lines = fatal.map(({ label, error }) => `${label}: ${error.message}`);
  const count = fatal.length === 1 ? 'an artifact' : `${fatal.length} artifacts`;
  const options = {
    code: 'ARTIFACTS_UNCOVERED' as const,
    context: { artifacts: fatal.map(({ label }) => label).join(', ') },
    hint:
      first.error.hint ??
      `allow their absence: ${fatal.map(({ label }) => `--allow-missing ${label}`).join(' ')}`,
    cause: fatal.length === 1 ? first.error : new AggregateError(fatal.map(({ error }) => error)),
  };
  const message = `the bundle was not written, ${count} cannot be covered: ${lines.join('; ')}`;
  // Failures of one kind keep that kind; a mixture becomes `unsupported`.
  for (const Kind of [FormatError, IntegrityError, IoError]) {
    if (fatal.every(({ error }) => error instanceof Kind)) throw new Kind(message, options);
  }
  throw new UnsupportedError(message, options);
}

/** Why an artifact is missing, for the recipe manifest: printable, and without this host's paths. */
export function reasonOf({ error }: Failure, folder: string): string {
  return oneLine(error.message.replaceAll(`${folder.replace(/\/+$/, '')}/`, ''));
}
