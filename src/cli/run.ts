import { CommanderError } from 'commander';
import { CancelledError, RehydrateError, UsageError } from '../core/errors.ts';
import { systemError } from '../core/io/os-error.ts';
import { limitSizes } from '../core/plausible.ts';
import { exitCodeOf, PIPE_CLOSED } from './exit-code.ts';
import type { CliIo } from './io.ts';
import { parseSize } from './options.ts';
import { createProgram } from './program.ts';
import { errorEvent, renderError } from './render-error.ts';

/**
 * Runs one command line (without `node` and the script) to its end and resolves to its exit code.
 * Never throws, never touches the process.
 */
export async function runCommand(argv: readonly string[], io: CliIo): Promise<number> {
  try {
    limitSizes(maxSizeOf(io));
    await createProgram(io).parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (thrown) {
    const error = systemError(thrown);
    if (error instanceof CommanderError) return exitCodeOf(error); // commander has printed it
    if (isClosedPipe(error, io)) return PIPE_CLOSED; // the reader has read enough, as with `| head`
    // Looked up in the arguments, because the options may be what failed to parse.
    const text = argv.includes('--json')
      ? `${JSON.stringify(errorEvent(error))}\n`
      : renderError(error, { debug: argv.includes('--debug') });
    io.stderr.write(text);
    return exitCodeOf(error);
  }
}

/** What a file or a disk may have at most, in bytes. Throws UsageError `SIZE_BAD`. */
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
