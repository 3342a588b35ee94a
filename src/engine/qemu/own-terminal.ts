import { env, pid } from 'node:process';
import type { IPty } from '@lydell/node-pty';
import { supervisedArgv } from '../../../vm/supervise.ts';
import { optionalAddon } from '../../core/io/addon.ts';
import { canDuplicate, duplicate } from '../../core/io/libc.ts';
import { createTerminalWriter } from './terminal-writer.ts';
import type { QemuProcess, SpawnOptions, Terminals } from './terminals.ts';
import { createThrottle } from './throttle.ts';

type NodePty = typeof import('@lydell/node-pty');

const nodePty = optionalAddon((require): NodePty => require('@lydell/node-pty'));

/** QEMU on a terminal that we open. Undefined without node-pty, or without the functions of koffi that make it safe. */
export function ownTerminal(): Terminals | undefined {
  const pty = nodePty();
  if (pty === undefined || !canDuplicate()) return undefined;
  return { console: 'stdio', spawn: (options) => spawnOnOwnTerminal(pty, options) };
}

function spawnOnOwnTerminal({ spawn }: NodePty, options: SpawnOptions): QemuProcess {
  const [file, args] = supervisedArgv(options.binary, options.args, {
    ...options.supervision,
    parentPid: pid,
  });
  const pty = spawn(file, args, {
    name: 'dumb',
    cols: 80,
    rows: 24,
    cwd: options.cwd,
    encoding: null,
    env,
  });
  const throttle = createThrottle(pty);
  const writer = createTerminalWriter(duplicate(fdOf(pty)));
  // With `encoding: null` node-pty delivers buffers, which its types do not declare.
  pty.onData((chunk: unknown) => {
    const bytes = chunk instanceof Uint8Array ? chunk : Buffer.from(String(chunk));
    throttle.took(bytes.length);
    options.onData(bytes);
  });
  let gone = false;
  const exited = new Promise<{ code: number; signal: number }>((resolve) => {
    pty.onExit(({ exitCode, signal }) => {
      gone = true;
      throttle.stop();
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
