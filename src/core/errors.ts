import type { CodeOf, ErrorCode, ErrorKind } from './error-codes.ts';

export type { ErrorCode, ErrorKind } from './error-codes.ts';

export type ErrorContext = Readonly<Record<string, string | number | boolean | undefined>>;

export interface ErrorOptionsWithContext<Code extends ErrorCode = ErrorCode> {
  readonly code: Code;
  readonly context?: ErrorContext;
  /** How the user can fix it: one sentence in the imperative. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/**
 * The closed set of errors that the library throws on purpose. Anything else that escapes is a bug.
 *
 * Each error says what went wrong (`message`), where (`context`) and how to fix it (`hint`).
 * `code` is stable: scripts may match on it. Only the CLI turns `kind` into an exit code.
 */
export abstract class RehydrateError extends Error {
  abstract readonly kind: ErrorKind;
  readonly code: ErrorCode;
  readonly context: ErrorContext;
  readonly hint: string | undefined;

  constructor(message: string, options: ErrorOptionsWithContext) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = options.code;
    this.context = options.context ?? {};
    this.hint = options.hint;
  }
}

/** Takes only codes of its kind. */
abstract class ErrorOfKind<K extends ErrorKind> extends RehydrateError {
  abstract override readonly kind: K;
  declare readonly code: CodeOf<K>;

  constructor(message: string, options: ErrorOptionsWithContext<CodeOf<K>>) {
    super(message, options);
  }
}

export class UsageError extends ErrorOfKind<'usage'> {
  readonly kind = 'usage' as const;
}
export class FormatError extends ErrorOfKind<'format'> {
  readonly kind = 'format' as const;
}
export class IntegrityError extends ErrorOfKind<'integrity'> {
  readonly kind = 'integrity' as const;
}
export class UnsupportedError extends ErrorOfKind<'unsupported'> {
  readonly kind = 'unsupported' as const;
}
export class EngineError extends ErrorOfKind<'engine'> {
  readonly kind = 'engine' as const;
}
export class IoError extends ErrorOfKind<'io'> {
  readonly kind = 'io' as const;
}
export class ToolError extends ErrorOfKind<'tool'> {
  readonly kind = 'tool' as const;
}
export class CancelledError extends ErrorOfKind<'cancelled'> {
  readonly kind = 'cancelled' as const;
}

/**
 * The worst first: wrong data must never be overlooked, then come failures of this host, and last
 * wrong requests and missing artifacts. A bug is worse than all of them.
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

type AnyClass = new (message: string, options: ErrorOptionsWithContext) => RehydrateError;

export const KINDS_WORST_FIRST = Object.keys(CLASSES) as ErrorKind[];

/** A new error whose kind is known only at run time, so no type checks that the code belongs to it. */
export function kindError(
  kind: ErrorKind,
  message: string,
  options: ErrorOptionsWithContext,
): RehydrateError {
  return new (CLASSES[kind] as AnyClass)(message, options);
}

/** A program that is not installed; `hint` says how to install it. */
export function toolMissing(tool: string, hint: string, cause: unknown): ToolError {
  return new ToolError(`the program ${tool} is missing`, {
    code: 'TOOL_MISSING',
    context: { tool },
    hint,
    cause,
  });
}

/** Throws {@link CancelledError} once `signal` is aborted; keeps the abort reason as its cause. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled(signal);
}

/** The error for an aborted `signal`. */
export function cancelled(signal: AbortSignal): CancelledError {
  if (signal.reason instanceof CancelledError) return signal.reason;
  return new CancelledError('cancelled', { code: 'CANCELLED', cause: signal.reason });
}
