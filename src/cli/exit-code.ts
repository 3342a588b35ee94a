import { CommanderError } from 'commander';
import { CancelledError, type ErrorKind, RehydrateError } from '../core/errors.ts';

/** Exit codes are part of the interface: scripts tell by them whether trying again makes sense. */
const CODES: Readonly<Record<Exclude<ErrorKind, 'cancelled'>, number>> = {
  usage: 2,
  format: 3,
  integrity: 4,
  unsupported: 5,
  engine: 6,
  io: 7,
  tool: 8,
};

/** 128 + signal number, as shells count. */
const SIGNALS: Readonly<Record<string, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

export const EXIT_CODE_HELP = `Exit codes:
  0  done; every file that was written has its SHA-256
  1  a bug in iso-rehydrate
  2  wrong usage
  3  malformed or truncated input (ISO, bundle, stream JSON, delta)
  4  well-formed input with the wrong SHA-256 or size
  5  cannot be made from this: unknown platform, uncovered artifact, other ISO layout
  6  the virtual machine failed
  7  the operating system refused: disk full, permission, missing file
  8  a program is missing or too old (QEMU, xz, Node.js)
  130, 143, 129  stopped by SIGINT, SIGTERM, SIGHUP; 141 the reader of the output left
Of several architectures that fail, the first of 1, 4, 3, 6, 7, 8, 2, 5 that one of them has.
audit: 4 if anything is BAD, else why something is FAIL, else 5 if anything is UNCOVERED.`;

export function exitCodeOf(error: unknown): number {
  if (error instanceof CancelledError) {
    for (let cause: unknown = error; cause instanceof RehydrateError; cause = cause.cause) {
      const { signal } = cause.context;
      if (typeof signal === 'string' && SIGNALS[signal] !== undefined) return SIGNALS[signal];
    }
    return 130;
  }
  if (error instanceof RehydrateError) {
    return error.kind === 'cancelled' ? 130 : CODES[error.kind];
  }
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  return 1;
}
