import { CommanderError } from 'commander';
import { CancelledError, RehydrateError } from '../core/errors.ts';
import { exitCodeOf } from './exit-code.ts';
import type { CliIo } from './io.ts';
import { createProgram } from './program.ts';
import { errorEvent, renderError } from './render-error.ts';

/**
 * Runs one command line (without `node` and the script) to its end and resolves to its exit code.
 * Never throws, never touches the process.
 */
export async function runCommand(argv: readonly string[], io: CliIo): Promise<number> {
  try {
    await createProgram(io).parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return exitCodeOf(error); // it has said what it had to say
    if (isClosedPipe(error, io)) return PIPE_CLOSED; // the reader has what it wanted, as with `| head`
    // Whether the options could be parsed or not, these two words mean the same.
    const text = argv.includes('--json')
      ? `${JSON.stringify(errorEvent(error))}\n`
      : renderError(error, { debug: argv.includes('--debug') });
    io.stderr.write(text);
    return exitCodeOf(error);
  }
}

/** What a shell reports for a process that SIGPIPE ended. */
const PIPE_CLOSED = 141;

function isClosedPipe(error: unknown, { signal }: CliIo): boolean {
  const reason: unknown = signal.reason;
  if (reason instanceof CancelledError && reason.code === 'PIPE_CLOSED') return true;
  return error instanceof RehydrateError && error.context.errno === 'EPIPE';
}
