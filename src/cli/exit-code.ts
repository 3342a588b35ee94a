import { CommanderError } from '@commander-js/extra-typings';
import { ERROR_CODES, type ErrorCode } from '../core/error-codes.ts';
import {
  CancelledError,
  type ErrorKind,
  KINDS_WORST_FIRST,
  RehydrateError,
} from '../core/errors.ts';
import { ours } from '../core/foreign-error.ts';

interface ExitCode {
  readonly code: number;
  /** The kind of errors that exit with it. */
  readonly kind?: Exclude<ErrorKind, 'cancelled'>;
  readonly signal?: 'SIGHUP' | 'SIGINT' | 'SIGPIPE' | 'SIGTERM';
  readonly meaning: string;
}

/**
 * Exit codes are part of the interface: scripts use them to decide whether to try again. For signals they
 * are 128 + the signal's number, as in shells. `--help` and `docs/errors.md` list this table.
 */
export const EXIT_CODES = [
  { code: 0, meaning: 'done; every file that was written matches its SHA-256' },
  { code: 1, meaning: 'a bug in iso-rehydrate' },
  { code: 2, kind: 'usage', meaning: 'wrong usage' },
  {
    code: 3,
    kind: 'format',
    meaning: 'malformed or truncated input (ISO, bundle, stream JSON, delta)',
  },
  { code: 4, kind: 'integrity', meaning: 'well-formed input with the wrong SHA-256 or size' },
  {
    code: 5,
    kind: 'unsupported',
    meaning: 'not possible: unknown platform, uncovered artifact, unsupported ISO layout',
  },
  { code: 6, kind: 'engine', meaning: 'the virtual machine failed' },
  {
    code: 7,
    kind: 'io',
    meaning: 'the operating system refused: disk full, permission, missing file',
  },
  { code: 8, kind: 'tool', meaning: 'a program is missing or too old (QEMU, xz, Node.js)' },
  { code: 129, signal: 'SIGHUP', meaning: 'stopped by SIGHUP' },
  { code: 130, signal: 'SIGINT', meaning: 'stopped by SIGINT (Ctrl-C)' },
  { code: 141, signal: 'SIGPIPE', meaning: 'the reader of the output stopped reading' },
  { code: 143, signal: 'SIGTERM', meaning: 'stopped by SIGTERM' },
] as const satisfies readonly ExitCode[];

/** The reader of a pipe has gone, as with `| head`. */
export const PIPE_CLOSED = 141;

const BUG = 1;

function exitCodeOfKind(kind: ErrorKind): number {
  if (kind === 'cancelled') return codeOfSignal('SIGINT') ?? BUG;
  return EXIT_CODES.find((exit) => 'kind' in exit && exit.kind === kind)?.code ?? BUG;
}

const codeOfSignal = (signal: unknown) =>
  EXIT_CODES.find((exit) => 'signal' in exit && exit.signal === signal)?.code;

/** If several architectures fail, the first of these codes. */
export const EXIT_CODES_WORST_FIRST: readonly number[] = [
  BUG,
  ...KINDS_WORST_FIRST.filter((kind) => kind !== 'cancelled').map(exitCodeOfKind),
];

export const EXIT_CODE_HELP = [
  'Exit codes:',
  ...EXIT_CODES.map(({ code, meaning }) => `  ${String(code).padEnd(3)}  ${meaning}`),
  `If several architectures fail, the first of these codes: ${EXIT_CODES_WORST_FIRST.join(', ')}.`,
  'audit: 4 if anything is BAD, else the code of the worst FAIL, else 5 if anything is UNCOVERED.',
].join('\n');

/** The exit codes that an error with this code can lead to. */
export function exitCodesOf(code: ErrorCode): readonly number[] {
  if (code === 'INTERNAL') return [BUG];
  if (code === 'PIPE_CLOSED') return [PIPE_CLOSED];
  if (code === 'CANCELLED') {
    return EXIT_CODES.filter((exit) => 'signal' in exit && exit.signal !== 'SIGPIPE').map(
      (exit) => exit.code,
    );
  }
  return ERROR_CODES[code].kinds.map(exitCodeOfKind).sort((a, b) => a - b);
}

export function exitCodeOf(thrown: unknown): number {
  const error = ours(thrown);
  if (error instanceof CancelledError) {
    if (error.code === 'PIPE_CLOSED') return PIPE_CLOSED;
    for (let cause: unknown = error; cause instanceof RehydrateError; cause = cause.cause) {
      const code = codeOfSignal(cause.context.signal);
      if (code !== undefined) return code;
    }
  }
  if (error instanceof RehydrateError) return exitCodeOfKind(error.kind);
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  return BUG;
}
