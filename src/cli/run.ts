import type { Writable } from 'node:stream';
import { CommanderError } from '@commander-js/extra-typings';
import { CancelledError, RehydrateError, UsageError } from '../core/errors.ts';
import { limitSizes } from '../core/plausible.ts';
import { paintFor } from './color.ts';
import { exitCodeOf, PIPE_CLOSED } from './exit-code.ts';
import type { CliIo } from './io.ts';
import { parseSize } from './options.ts';
import { createProgram, refuseMistypedCommand } from './program.ts';
import { errorEvent, renderError } from './render-error.ts';

/**
 * Runs one command line (without `node` and the script) to its end and resolves to its exit code.
 * Never throws, never touches the process.
 */
export async function runCommand(argv: readonly string[], io: CliIo): Promise<number> {
  const json = argv.includes('--json');
  const paint = paintFor(argv, io);
  const failure = await failureOf(argv, io);
  if (failure === undefined) return 0;
  if (failure instanceof CommanderError) {
    const code = exitCodeOf(failure);
    // The parser has already printed its message as text.
    if (json && code !== 0) io.stderr.write(`${JSON.stringify(errorEvent(wrongUsage(failure)))}\n`);
    return code;
  }
  if (isClosedPipe(failure, io)) return PIPE_CLOSED; // the reader has what it needs, as with `| head`
  // Whether the options could be parsed or not, these two words mean the same.
  const debug = argv.includes('--debug');
  const text = json
    ? `${JSON.stringify(errorEvent(failure, { debug }))}\n`
    : renderError(failure, { debug, paint });
  io.stderr.write(text);
  return exitCodeOf(failure);
}

/** `error: unknown option '--frob'\n(Did you mean --force?)` is what the parser says. */
function wrongUsage({ message }: CommanderError): UsageError {
  const [what = '', ...more] = message.replace(/^error: /, '').split('\n');
  const meant = more.join(' ').replace(/^\((.*)\)$/, '$1 ');
  return new UsageError(what, { code: 'COMMAND_LINE', hint: `${meant}See --help` });
}

/** The outcome of the command and of its output: a result that was not delivered does not count. */
async function failureOf(argv: readonly string[], io: CliIo): Promise<unknown> {
  let failure: unknown;
  try {
    limitSizes(maxSizeOf(io));
    const program = createProgram(io, { json: argv.includes('--json') });
    refuseMistypedCommand(program, argv);
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    failure = error;
  }
  await flushed(io.stdout);
  // The run was stopped over its output: why that failed says more than that it was stopped.
  const reason: unknown = io.signal.reason;
  if (reason instanceof CancelledError && reason.code === 'OUTPUT_FAILED') return reason.cause;
  return failure;
}

/** Resolves once all that was written is out, or cannot come out any more. */
async function flushed(stream: Writable): Promise<void> {
  if (!stream.destroyed && !stream.writableEnded && !stream.errored) {
    await new Promise<void>((resolve) => {
      stream.once('error', () => resolve());
      stream.write('', () => resolve());
    });
  }
  // The event `error` comes later than the failure itself.
  await new Promise((resolve) => setImmediate(resolve));
}

/** The maximum size of a file or a disk, in bytes. Throws UsageError `SIZE_BAD`. */
function maxSizeOf({ env }: CliIo): number | undefined {
  const text = env.ISO_REHYDRATE_MAX_SIZE;
  if (!text) return undefined;
  try {
    return parseSize(text);
  } catch (cause) {
    throw new UsageError(`ISO_REHYDRATE_MAX_SIZE is not a size: ${text}`, {
      code: 'SIZE_BAD',
      hint: 'give bytes, or a number with a unit: 512GiB',
      cause,
    });
  }
}

function isClosedPipe(error: unknown, { signal }: CliIo): boolean {
  const reason: unknown = signal.reason;
  if (reason instanceof CancelledError && reason.code === 'PIPE_CLOSED') return true;
  return error instanceof RehydrateError && error.context.errno === 'EPIPE';
}
