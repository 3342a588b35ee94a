import { env, pid } from 'node:process';
import { spawn } from '@lydell/node-pty';
import { supervisedArgv } from '../../../vm/supervise.ts';

export interface QemuProcess {
  readonly pid: number;
  /** Types on the guest's console. */
  write(data: string): void;
  /** Resolves once QEMU is gone and its last output was delivered. */
  readonly exited: Promise<{ readonly code: number; readonly signal: number }>;
  kill(): void;
}

export interface SpawnOptions {
  readonly binary: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly stderr: string;
  readonly setpriv: boolean;
  readonly onData: (chunk: Uint8Array) => void;
}

/**
 * Starts QEMU as the leader of a terminal of its own, whose other end is the guest's serial line.
 *
 * Must be called on a thread that lives as long as QEMU may: the kernel takes the end of the thread
 * that forked for the death of the parent.
 */
export function spawnQemu(options: SpawnOptions): QemuProcess {
  const [file, args] = supervisedArgv(options.binary, options.args, {
    stderr: options.stderr,
    parentPid: pid,
    setpriv: options.setpriv,
  });
  const pty = spawn(file, args, {
    name: 'dumb',
    cols: 80,
    rows: 24,
    cwd: options.cwd,
    encoding: null,
    env,
  });
  // With `encoding: null` node-pty delivers buffers, which its types do not say.
  pty.onData((chunk: unknown) => {
    options.onData(chunk instanceof Uint8Array ? chunk : Buffer.from(String(chunk)));
  });
  let gone = false;
  const exited = new Promise<{ code: number; signal: number }>((resolve) => {
    pty.onExit(({ exitCode, signal }) => {
      gone = true;
      resolve({ code: exitCode, signal: signal ?? 0 });
    });
  });
  return {
    pid: pty.pid,
    exited,
    write(data) {
      if (!gone) pty.write(data);
    },
    kill() {
      if (!gone) pty.kill('SIGKILL');
    },
  };
}
