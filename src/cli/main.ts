import process from 'node:process';
import { CancelledError } from '../core/errors.ts';
import { createEngine } from '../engine/choose.ts';
import { exitCodeOf } from './exit-code.ts';
import { renderError } from './render-error.ts';
import { runCommand } from './run.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Milliseconds that leftover handles may keep the process after its work is done. */
const LINGER_MS = 5000;

/** The program: the only place that knows the process, its signals and its exit code. */
export async function runMain(): Promise<void> {
  const controller = new AbortController();
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const cancelled = new CancelledError(`stopped by ${signal}`, {
        code: 'CANCELLED',
        context: { signal },
      });
      // The first asks for an orderly end, which removes partial files; the second insists.
      if (controller.signal.aborted) process.exit(exitCodeOf(cancelled));
      controller.abort(cancelled);
    });
  }
  // The reader of a pipe may leave (`| head`): stop.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      const code = error.code === 'EPIPE' ? 'PIPE_CLOSED' : 'OUTPUT_FAILED';
      controller.abort(new CancelledError('the output failed', { code, cause: error }));
    });
  }
  process.on('uncaughtException', (error) => {
    process.stderr.write(renderError(error, { debug: true }));
    process.exit(1);
  });

  process.exitCode = await runCommand(process.argv.slice(2), {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    hostArch: process.arch,
    versions: process.versions,
    isTerminal: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
    columns: () => process.stderr.columns || 80, // some terminals say 0
    signal: controller.signal,
    createEngine,
  });
  setTimeout(() => process.exit(), LINGER_MS).unref();
}
