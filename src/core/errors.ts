/**
 * The closed set of errors that the library throws on purpose. Anything else that escapes is a bug.
 *
 * Each error says what went wrong (`message`), where (`context`) and how to mend it (`hint`).
 * `code` is stable: machines may match on it. Only the CLI turns `kind` into an exit code.
 */
export type ErrorKind =
  /** The command line or an API argument is wrong. */
  | 'usage'
  /** Untrusted input (ISO, bundle, stream JSON, delta) is malformed, truncated or out of bounds. */
  | 'format'
  /** Well-formed data whose digest or size is not the promised one. */
  | 'integrity'
  /** The request is understood but nothing here can produce it (platform, architecture, layout). */
  | 'unsupported'
  /** The engine (the VM, or the native one) failed to regenerate a base. */
  | 'engine'
  /** The operating system refused: disk full, permission, missing file. */
  | 'io'
  /** A program that must be on the host is missing or too old. */
  | 'tool'
  /** The caller aborted (Ctrl-C, SIGTERM, AbortSignal). */
  | 'cancelled';

export type ErrorContext = Readonly<Record<string, string | number | boolean | undefined>>;

export interface ErrorOptionsWithContext {
  /** Stable upper-case identifier, e.g. `ISO_NO_OSMET`. */
  readonly code: string;
  readonly context?: ErrorContext;
  /** One sentence in the imperative: how the user can mend it. */
  readonly hint?: string;
  readonly cause?: unknown;
}

export abstract class RehydrateError extends Error {
  abstract readonly kind: ErrorKind;
  readonly code: string;
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

export class UsageError extends RehydrateError {
  readonly kind = 'usage' as const;
}
export class FormatError extends RehydrateError {
  readonly kind = 'format' as const;
}
export class IntegrityError extends RehydrateError {
  readonly kind = 'integrity' as const;
}
export class UnsupportedError extends RehydrateError {
  readonly kind = 'unsupported' as const;
}
export class EngineError extends RehydrateError {
  readonly kind = 'engine' as const;
}
export class IoError extends RehydrateError {
  readonly kind = 'io' as const;
}
export class ToolError extends RehydrateError {
  readonly kind = 'tool' as const;
}
export class CancelledError extends RehydrateError {
  readonly kind = 'cancelled' as const;
}

/** A program that is not on the host; `hint` says what brings it. */
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

/** The error that an aborted `signal` stands for. */
export function cancelled(signal: AbortSignal): CancelledError {
  if (signal.reason instanceof CancelledError) return signal.reason;
  return new CancelledError('cancelled', { code: 'CANCELLED', cause: signal.reason });
}
