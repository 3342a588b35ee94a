import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { CONSOLE_ID, consoleArgs } from '../../../vm/argv.ts';
import { spawnOnQemusTerminal } from './qemus-terminal.ts';
import { listenForQmp, queryTerminal } from './qmp.ts';

test.each([true, false])(
  'QEMU’s own terminal, read, written and ended (setpriv: %s)',
  async (setpriv) => {
    const folder = await mkdtemp(join(tmpdir(), 'terminal-'));
    const socket = join(folder, 'qmp.sock');
    const errors: unknown[] = [];
    const listener = await listenForQmp(socket, {
      onEvent: () => {},
      onError: (error) => errors.push(error),
    });
    let said = '';
    // A machine without a guest: QEMU's own monitor is on the terminal.
    const [chardev = '', console = ''] = consoleArgs('pty');
    const qemu = spawnOnQemusTerminal({
      binary: 'qemu-system-x86_64',
      args: [
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-machine', 'none', '-S'],
        ...['-chardev', `socket,id=qmp,path=${socket}`, '-mon', 'chardev=qmp,mode=control'],
        ...[chardev, console, '-mon', `chardev=${CONSOLE_ID}`],
      ],
      cwd: folder,
      supervision: { stderr: join(folder, 'stderr'), setpriv },
      onData: (chunk) => {
        said += String(chunk);
      },
    });
    const says = async (text: RegExp) => {
      while (!text.test(said)) await delay(20);
    };
    try {
      expect(qemu.write('too early')).toBe(false);
      const qmp = await listener.connected;
      qemu.attach?.(await queryTerminal(qmp, CONSOLE_ID));
      await expect(queryTerminal(qmp, 'qmp')).rejects.toThrow('is not a terminal');
      await says(/\(qemu\) /);
      expect(qemu.write('info status\n')).toBe(true);
      await says(/VM status: paused/);
      if (setpriv) {
        expect(qemu.write('quit\n')).toBe(true);
        expect(await qemu.exited).toEqual({ code: 0, signal: 0 });
      } else {
        qemu.kill();
        expect(await qemu.exited).toEqual({ code: 0, signal: 9 });
      }
      expect(qemu.write('too late')).toBe(false);
      // Nobody is left of its group, no guard either.
      for (let i = 0; i < 50 && alive(-qemu.pid); i++) await delay(50);
      expect(alive(-qemu.pid)).toBe(false);
      expect(errors).toEqual([]);
    } finally {
      qemu.kill();
      listener.close();
      await rm(folder, { recursive: true });
    }
  },
);

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
