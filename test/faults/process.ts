import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Run, RunRequest } from './messages.ts';

const HERE = import.meta.dirname;
/** Milliseconds; no run takes longer, even on a busy machine. */
const PATIENCE = 300_000;

/** Compiles faults.c; resolves to the path of the library. */
export async function buildLibrary(folder: string): Promise<string> {
  const library = join(folder, 'faults.so');
  await execa('cc', ['-O2', '-shared', '-fPIC', '-o', library, join(HERE, 'faults.c'), '-ldl']);
  return library;
}

/** `lane`: which of the processors it may use. */
export const environmentOf = (library: string, lane: number) => ({
  ...process.env,
  LD_PRELOAD: library,
  FAULTS_CPU: `${lane}`,
  UV_USE_IO_URING: '0',
  NODE_NO_WARNINGS: '1',
});

export interface Runner extends Disposable {
  /** Does one run; resolves to `hangs`, or to how the process ended, if it does not answer. */
  run(request: RunRequest): Promise<Run | string>;
}

/** A process of runner.ts, replaced by a new one when it ends. */
export function createRunner(library: string, lane: number): Runner {
  let child: ChildProcess | undefined;
  const start = () => {
    const made = fork(join(HERE, 'runner.ts'), [], {
      env: environmentOf(library, lane),
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    made.on('error', () => {});
    return made;
  };
  const stop = () => {
    child?.kill('SIGKILL');
    child = undefined;
  };
  return {
    async run(request) {
      child ??= start();
      const one = child;
      const over = new AbortController();
      const { signal } = over;
      const timer = setTimeout(() => over.abort(), PATIENCE);
      try {
        const answer = once(one, 'message', { signal }).then(([run]) => run as Run);
        const end = once(one, 'exit', { signal }).then(([code, by]) => `ended: ${code ?? by}`);
        answer.catch(() => {});
        end.catch(() => {});
        one.send(request);
        const result = await Promise.race([answer, end]).catch(() => 'hangs');
        if (typeof result === 'string') stop();
        return result;
      } finally {
        clearTimeout(timer);
        over.abort();
      }
    },
    [Symbol.dispose]: stop,
  };
}
