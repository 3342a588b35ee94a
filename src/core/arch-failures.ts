import type { Arch } from './arch.ts';
import {
  CancelledError,
  EngineError,
  type ErrorKind,
  type ErrorOptionsWithContext,
  FormatError,
  IntegrityError,
  IoError,
  RehydrateError,
  ToolError,
  UnsupportedError,
  UsageError,
} from './errors.ts';

/** An architecture that did not come out, and why. */
export interface ArchFailure {
  readonly architecture: Arch;
  readonly error: unknown;
}

export const ARCHITECTURES_FAILED = 'ARCHITECTURES_FAILED';

/**
 * The worst first: wrong data must never be overlooked, then come what failed on this host, and last
 * what was asked for wrongly or is not there. A bug is worse than all of them.
 */
const CLASSES = {
  integrity: IntegrityError,
  format: FormatError,
  engine: EngineError,
  io: IoError,
  tool: ToolError,
  usage: UsageError,
  unsupported: UnsupportedError,
  cancelled: CancelledError,
} as const satisfies Record<ErrorKind, unknown>;

export const KINDS_WORST_FIRST = Object.keys(CLASSES) as ErrorKind[];

/** A new error of a kind. */
export function kindError(
  kind: ErrorKind,
  message: string,
  options: ErrorOptionsWithContext,
): RehydrateError {
  return new CLASSES[kind](message, options);
}

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
  const parts = new AggregateError(failures.map(named), message);
  const kinds = failures.map(({ error }) => (error instanceof RehydrateError ? error.kind : 'bug'));
  const worst = kinds.includes('bug')
    ? undefined
    : KINDS_WORST_FIRST.find((k) => kinds.includes(k));
  if (worst === undefined) return parts;
  return kindError(worst, message, {
    code: ARCHITECTURES_FAILED,
    context: { architectures: failures.map(({ architecture }) => architecture).join(', ') },
    ...(hint === undefined ? {} : { hint }),
    cause: parts,
  });
}

/** The same error once more, with the architecture in it. */
function named({ architecture, error }: ArchFailure): Error {
  const text = error instanceof Error ? error.message : String(error);
  const message = `${architecture}: ${text}`;
  if (!(error instanceof RehydrateError)) return new Error(message, { cause: error });
  const { kind, code, context, hint, cause, stack } = error;
  const same = kindError(kind, message, {
    code,
    context: { architecture, ...context },
    ...(hint === undefined ? {} : { hint }),
    cause,
  });
  if (stack !== undefined) same.stack = stack;
  return same;
}

/** The message of an error without what follows its first line: console excerpts, for example. */
export function headline(error: unknown): string {
  const [first = ''] = (error instanceof Error ? error.message : String(error)).split('\n', 1);
  return first;
}

/** The failures of the architectures that `error` is made of; none for any other error. */
export function partsOf(error: unknown): readonly unknown[] {
  if (error instanceof AggregateError) return error.errors;
  if (!(error instanceof RehydrateError) || error.code !== ARCHITECTURES_FAILED) return [];
  return error.cause instanceof AggregateError ? error.cause.errors : [];
}
