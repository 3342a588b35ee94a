import type { Arch } from './arch.ts';
import { type ErrorContext, KINDS_WORST_FIRST, kindError, RehydrateError } from './errors.ts';
import { ours } from './foreign-error.ts';

/** An architecture that failed, and why. */
export interface ArchFailure {
  readonly architecture: Arch;
  readonly error: unknown;
}

/** An artifact that could not be made, and why. */
export interface ArtifactFailure {
  /** Short name, for people. */
  readonly artifact: string;
  readonly error: unknown;
}

const ARCHITECTURES_FAILED = 'ARCHITECTURES_FAILED';
const ARTIFACTS_FAILED = 'ARTIFACTS_FAILED';
const SUMMARIES = [ARCHITECTURES_FAILED, ARTIFACTS_FAILED] as const;

/**
 * One error for the failures of several architectures, of the kind of the worst of them. Its cause is
 * an AggregateError over them all, each with its own message (the architecture in front), code,
 * context, hint and cause. If one of them is a bug, the result is that AggregateError itself.
 */
export function architecturesFailed(
  message: string,
  failures: readonly ArchFailure[],
  { hint }: { readonly hint?: string | undefined } = {},
): RehydrateError | AggregateError {
  const parts = failures.map(({ architecture, error }) =>
    again(error, { label: architecture, context: { architecture } }),
  );
  const architectures = failures.map(({ architecture }) => architecture).join(', ');
  return summary(message, parts, { code: ARCHITECTURES_FAILED, context: { architectures }, hint });
}

/**
 * The same for the artifacts of one architecture; undefined if none failed. If only one did, the result
 * is its own error, with the artifact in the context.
 */
export function artifactsFailed(failures: readonly ArtifactFailure[]): unknown {
  const [first] = failures;
  if (first === undefined) return undefined;
  if (failures.length === 1) {
    const { artifact } = first;
    const error = ours(first.error);
    return error instanceof RehydrateError ? again(error, { context: { artifact } }) : error;
  }
  const parts = failures.map(({ artifact, error }) =>
    again(error, { label: artifact, context: { artifact } }),
  );
  const artifacts = failures.map(({ artifact }) => artifact).join(', ');
  const message = `${failures.length} artifacts could not be made: ${artifacts}`;
  return summary(message, parts, { code: ARTIFACTS_FAILED, context: { artifacts } });
}

interface SummaryOptions {
  readonly code: (typeof SUMMARIES)[number];
  readonly context: ErrorContext;
  readonly hint?: string | undefined;
}

function summary(
  message: string,
  errors: readonly Error[],
  { code, context, hint }: SummaryOptions,
): RehydrateError | AggregateError {
  const parts = new AggregateError(errors, message);
  const kinds = errors.map((error) => (error instanceof RehydrateError ? error.kind : 'bug'));
  const worst = KINDS_WORST_FIRST.find((kind) => kinds.includes(kind));
  if (worst === undefined || kinds.includes('bug')) return parts;
  return kindError(worst, message, {
    code,
    context,
    ...(hint === undefined ? {} : { hint }),
    cause: parts,
  });
}

/** A copy of the error with its subject in front of the message and in its context. */
function again(
  thrown: unknown,
  { label, context: more }: { readonly label?: string; readonly context: ErrorContext },
): Error {
  const error = ours(thrown);
  const text = error instanceof Error ? error.message : String(error);
  const message = label === undefined ? text : `${label}: ${text}`;
  if (error instanceof AggregateError) return new AggregateError(error.errors, message);
  if (!(error instanceof RehydrateError)) return new Error(message, { cause: error });
  const { kind, code, context, hint, cause, stack } = error;
  const same = kindError(kind, message, {
    code,
    context: { ...more, ...context },
    ...(hint === undefined ? {} : { hint }),
    cause,
  });
  if (stack !== undefined) same.stack = stack;
  return same;
}

/** The first line of an error's message, without console excerpts and the like. */
export function headline(error: unknown): string {
  const [first = ''] = (error instanceof Error ? error.message : String(error)).split('\n', 1);
  return first;
}

/** The failures that `error` sums up; none for any other error. */
export function partsOf(error: unknown): readonly unknown[] {
  if (error instanceof AggregateError) return error.errors;
  const codes: readonly string[] = SUMMARIES;
  if (!(error instanceof RehydrateError) || !codes.includes(error.code)) return [];
  return error.cause instanceof AggregateError ? error.cause.errors : [];
}
