import { spawn } from 'node:child_process';
import { constants, openSync } from 'node:fs';
import { constants as os } from 'node:os';
import process, { env, pid } from 'node:process';
import { ReadStream } from 'node:tty';
import { supervisedArgv } from '../../../vm/supervise.ts';
import { createTerminalWriter, type TerminalWriter } from './terminal-writer.ts';
import type { QemuProcess, SpawnOptions } from './terminals.ts';
import { createThrottle, type Throttle } from './throttle.ts';

const { O_RDWR, O_NOCTTY, O_NONBLOCK } = constants;
/** Milliseconds to read the rest of the terminal's output when QEMU has ended. */
const DRAIN_MS = 500;

/**
 * QEMU on no terminal of ours: it makes one itself, in raw mode, and its other end is opened as a file. What
 * node-pty does is not needed then, and any host can do this.
 */
export function spawnOnQemusTerminal(options: SpawnOptions): QemuProcess {
  const [file, args] = supervisedArgv(options.binary, options.args, {
    ...options.supervision,
    ...{ parentPid: pid, lifeline: true },
  });
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: { ...env, TERM: 'dumb' },
    // In a separate session, so that our terminal's Ctrl-C does not reach QEMU.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.stdin.on('error', () => {}); // its exit says more
  let input: ReadStream | undefined;
  let writer: TerminalWriter | undefined;
  let throttle: Throttle | undefined;
  let gone = false;

  /** QEMU, and the shell that guards it. Without QEMU there is nobody else in the group. */
  const killGroup = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // No process is left.
    }
  };
  const drained = () =>
    new Promise<void>((resolve) => {
      if (input === undefined || input.destroyed) return resolve();
      input.once('close', resolve);
      setTimeout(resolve, DRAIN_MS).unref();
    });

  const exited = new Promise<{ code: number; signal: number }>((resolve) => {
    const end = async (code: number, signal: number) => {
      if (gone) return;
      gone = true;
      killGroup();
      child.stdin.destroy();
      writer?.close();
      await drained();
      throttle?.stop();
      input?.destroy();
      resolve({ code, signal });
    };
    child.once('error', () => void end(126, 0));
    child.once('exit', (code, signal) => void end(code ?? 0, signal ? os.signals[signal] : 0));
  });

  return {
    pid: child.pid ?? -1,
    exited,
    write: (data) => !gone && writer?.write(data) === true,
    kill() {
      if (!gone) killGroup();
    },
    attach(terminal) {
      if (gone || input) return;
      const open = () => openSync(terminal, O_RDWR | O_NOCTTY | O_NONBLOCK);
      const stream = new ReadStream(open());
      input = stream;
      throttle = createThrottle(stream);
      writer = createTerminalWriter(open());
      stream.on('data', (chunk: Buffer) => {
        throttle?.took(chunk.length);
        options.onData(chunk);
      });
      // A terminal whose other end has been closed fails to read (EIO): that is its end.
      stream.on('error', () => stream.destroy());
      stream.on('end', () => stream.destroy());
    },
  };
}
