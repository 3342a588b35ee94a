import process from 'node:process';
import { CancelledError } from '../core/errors.ts';
import { exitNow } from '../core/io/libc.ts';
import { createEngine } from '../engine/choose.ts';
import { exitCodeOf } from './exit-code.ts';
import { renderError } from './render-error.ts';
import { runCommand } from './run.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Milliseconds for which leftover handles may keep the process alive after its work is done. */
const LINGER_MS = 5000;

/** The program: the only place that touches the process, its signals and its exit code. */
export async function runMain(): Promise<void> {
  const controller = new AbortController();
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const cancelled = new CancelledError(`stopped by ${signal}`, {
        code: 'CANCELLED',
        context: { signal },
      });
      // The first signal ends the work and removes partial files; the second exits at once.
      if (controller.signal.aborted) leave(exitCodeOf(cancelled));
      controller.abort(cancelled);
    });
  }
  // The reader of a pipe may go away (`| head`): stop.
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
    columns: () => process.stderr.columns || 80, // some terminals report 0
    signal: controller.signal,
    createEngine,
  });
  setTimeout(() => leave(Number(process.exitCode ?? 0)), LINGER_MS).unref();
}

/** Exits without waiting for reads that never end. Exit handlers, which end children, still run. */
function leave(code: number): never {
  process.emit('exit', code);
  exitNow(code);
}
