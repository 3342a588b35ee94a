import { constants, fstatSync, readFileSync, statSync } from 'node:fs';
import process from 'node:process';
import { CancelledError } from '../core/errors.ts';
import { exitNow } from '../core/io/libc.ts';
import { osError } from '../core/io/os-error.ts';
import { createEngine } from '../engine/choose.ts';
import { exitCodeOf } from './exit-code.ts';
import type { CliIo } from './io.ts';
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
  // The reader of a pipe may leave (`| head`), or the disk behind `>` be full: stop.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    const code = error.code === 'EPIPE' ? 'PIPE_CLOSED' : 'OUTPUT_FAILED';
    const cause = osError(error, 'write to', 'standard output');
    controller.abort(new CancelledError('the output failed', { code, cause }));
  });
  // The work matters more than progress and notes: if these cannot be written, the work continues.
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') return;
    controller.abort(
      new CancelledError('the output failed', { code: 'PIPE_CLOSED', cause: error }),
    );
  });
  process.on('uncaughtException', (error) => {
    process.stderr.write(renderError(error, { debug: true }));
    process.exit(1);
  });

  process.exitCode = await runCommand(process.argv.slice(2), {
    stdout: process.stdout,
    stderr: process.stderr,
    stdoutIs: standardOutput(),
    env: process.env,
    pid: process.pid,
    hostArch: process.arch,
    versions: process.versions,
    isTerminal: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
    columns: () => process.stderr.columns || 80, // some terminals report 0
    signal: controller.signal,
    createEngine,
  });
  setTimeout(() => leave(Number(process.exitCode ?? 0)), LINGER_MS).unref();
}

/**
 * Node opens /dev/null for reading and writing in the place of a closed standard output (`>&-`), where
 * images would vanish with exit code 0. A shell's `>/dev/null` is for writing only.
 */
function standardOutput(): CliIo['stdoutIs'] {
  if (process.stdout.isTTY) return 'terminal';
  try {
    const { rdev } = fstatSync(1);
    if (rdev !== statSync('/dev/null').rdev) return undefined;
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync('/proc/self/fdinfo/1', 'utf8'))?.[1];
    return (Number.parseInt(flags ?? '0', 8) & 3) === O_RDWR ? 'closed' : undefined;
  } catch {
    return undefined;
  }
}

const { O_RDWR } = constants;

/** Exits without waiting for reads that never end. Exit handlers, which end children, still run. */
function leave(code: number): never {
  process.emit('exit', code);
  exitNow(code);
}
