import { env, pid } from 'node:process';
import { type IPty, spawn } from '@lydell/node-pty';
import { supervisedArgv } from '../../../vm/supervise.ts';
import { createTerminalWriter } from './terminal-writer.ts';

export interface QemuProcess {
  readonly pid: number;
  /** Types on the guest's console without waiting; false if the guest does not read its input. */
  write(data: string): boolean;
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

/** Limits how fast a guest can print, because all its output is searched; a boot prints far less. */
const BYTES_PER_TURN = 1 << 20;
const TURN_MS = 250;

/**
 * Starts QEMU as the leader of a terminal of its own, whose other end is the guest's serial line.
 *
 * Must be called on a thread that outlives QEMU, because to the kernel the end of the forking thread is the
 * death of the parent.
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
  let room = BYTES_PER_TURN;
  const turns = setInterval(() => {
    if (room <= 0) pty.resume();
    room = BYTES_PER_TURN;
  }, TURN_MS);
  const writer = createTerminalWriter(fdOf(pty));
  // With `encoding: null` node-pty delivers buffers, which its types do not declare.
  pty.onData((chunk: unknown) => {
    const bytes = chunk instanceof Uint8Array ? chunk : Buffer.from(String(chunk));
    room -= bytes.length;
    if (room <= 0) pty.pause();
    options.onData(bytes);
  });
  let gone = false;
  const exited = new Promise<{ code: number; signal: number }>((resolve) => {
    pty.onExit(({ exitCode, signal }) => {
      gone = true;
      clearInterval(turns);
      writer.close();
      resolve({ code: exitCode, signal: signal ?? 0 });
    });
  });
  return {
    pid: pty.pid,
    exited,
    write: (data) => !gone && writer.write(data),
    kill() {
      if (!gone) pty.kill('SIGKILL');
    },
  };
}

/** The terminal's master, which node-pty's types do not declare. */
function fdOf(pty: IPty): number {
  const { fd } = pty as IPty & { readonly fd?: unknown };
  if (typeof fd !== 'number') throw new TypeError('node-pty does not expose its descriptor');
  return fd;
}
