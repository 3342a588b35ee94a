import {
  FormatError,
  IntegrityError,
  type RehydrateError,
  UnsupportedError,
  UsageError,
} from '../../core/errors.ts';
import {
  type ArtifactId,
  nameMatches,
  type StreamArtifact,
  shortName,
} from '../../release/stream/artifacts.ts';

/** An artifact that the bundle will not have. */
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

/** Throws UsageError `ALLOW_UNKNOWN` for a name that means no artifact: a typo would hide something. */
export function allowance(names: readonly string[], artifacts: readonly ArtifactId[]): Allowance {
  const unknown = names.find((name) => !artifacts.some((id) => nameMatches(name, id)));
  if (unknown !== undefined) {
    throw new UsageError(`--allow-missing ${unknown} names no artifact of the stream`, {
      code: 'ALLOW_UNKNOWN',
      hint: `use names such as ${artifacts
        .slice(0, 4)
        .map((id) => shortName(id, artifacts))
        .join(', ')}`,
    });
  }
  return { allows: (id) => names.some((name) => nameMatches(name, id)) };
}

/** What speaks of the artifact alone; everything else (disk full, xz missing) ends the whole run. */
export function concernsArtifact(
  error: unknown,
): error is FormatError | IntegrityError | UnsupportedError {
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
    code: 'ARTIFACTS_UNCOVERED',
    context: { artifacts: fatal.map(({ label }) => label).join(', ') },
    hint:
      first.error.hint ??
      `allow their absence: ${fatal.map(({ label }) => `--allow-missing ${label}`).join(' ')}`,
    cause: fatal.length === 1 ? first.error : new AggregateError(fatal.map(({ error }) => error)),
  };
  const message = `the bundle was not written, ${count} cannot be covered: ${lines.join('; ')}`;
  // Failures of one kind are told as that kind, a mixture as what it comes to: not covered.
  for (const Kind of [FormatError, IntegrityError]) {
    if (fatal.every(({ error }) => error instanceof Kind)) throw new Kind(message, options);
  }
  throw new UnsupportedError(message, options);
}

/** Why an artifact is missing, for the recipe manifest: printable, and without this host's paths. */
export function reasonOf({ error }: Failure, folder: string): string {
  return error.message
    .replaceAll(`${folder.replace(/\/+$/, '')}/`, '')
    .replace(/\p{C}/gu, ' ')
    .slice(0, 1000);
}
