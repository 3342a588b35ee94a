import { type ErrorKind, kindError, RehydrateError } from '../errors.ts';

/** An error as sent from a worker, because structured clone would lose its class. */
export type Failure = Known | Bug;

interface Known {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly code: RehydrateError['code'];
  readonly context: RehydrateError['context'];
  readonly hint: string | undefined;
  readonly cause: Failure | undefined;
  readonly stack: string | undefined;
}

interface Bug {
  readonly kind: 'bug';
  readonly message: string;
  readonly cause: Failure | undefined;
  readonly stack: string | undefined;
}

/** Depth of causes that are sent along, because causes may form a circle. */
const MAX_DEPTH = 8;

export function toFailure(error: unknown, depth = 0): Failure {
  if (!(error instanceof Error)) {
    return { kind: 'bug', message: String(error), cause: undefined, stack: undefined };
  }
  const { message, stack } = error;
  const more = error.cause !== undefined && error.cause !== null && depth < MAX_DEPTH;
  const cause = more ? toFailure(error.cause, depth + 1) : undefined;
  if (!(error instanceof RehydrateError)) return { kind: 'bug', message, cause, stack };
  const { kind, code, context, hint } = error;
  return { kind, message, code, context, hint, cause, stack };
}

/** Rebuilds the error with its class, its causes and its stack in the worker. */
export function fromFailure(failure: Failure): Error {
  const { message, stack } = failure;
  const cause = failure.cause && fromFailure(failure.cause);
  const error =
    failure.kind === 'bug'
      ? new Error(message, cause && { cause })
      : kindError(failure.kind, message, optionsOf(failure, cause));
  if (stack !== undefined) error.stack = stack;
  return error;
}

function optionsOf({ code, context, hint }: Known, cause: Error | undefined) {
  return { code, context, ...(hint === undefined ? {} : { hint }), ...(cause && { cause }) };
}
