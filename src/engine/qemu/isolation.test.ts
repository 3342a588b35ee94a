import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Supervision, supervisedArgv } from '../../../vm/supervise.ts';
import { ceilingsFor } from './ceilings.ts';
import { inspectQemuHost } from './host.ts';
import { probeIsolation } from './tool.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'isolation-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function confined(program: string, args: string[]) {
  const { setpriv, unshare } = await probeIsolation();
  const supervision: Supervision = {
    ...{ stderr: join(folder, 'stderr'), parentPid: process.pid, setpriv, unshare },
    limits: ceilingsFor(1024, [2 ** 31]),
  };
  return execa(...supervisedArgv(program, args, supervision), { reject: false });
}

test('a confined program sees no network but a loopback of its own', async () => {
  const { unshare } = await probeIsolation();
  const { stdout } = await confined('cat', ['/proc/self/net/dev']);
  const interfaces = stdout.match(/^ *\S+:/gm)?.map((name) => name.trim());
  if (unshare.length > 0) expect(interfaces).toEqual(['lo:']);
  else await expect(execa('unshare', ['--net', '--', 'true'])).rejects.toThrow();
});

test('QEMU of every architecture starts under the limits of its machine', async () => {
  const { qemus } = await inspectQemuHost();
  expect(qemus).toHaveLength(4);
  for (const { binary, architecture, problem } of qemus) {
    if (problem !== undefined) continue;
    // No machine, and the monitor says so and ends it.
    const { exitCode, stdout } = await confined('sh', [
      '-c',
      `echo quit | ${binary} -nodefaults -display none -machine none -m 1024 -accel tcg -monitor stdio`,
    ]);
    expect(exitCode, architecture + (await readFile(join(folder, 'stderr'), 'utf8'))).toBe(0);
    expect(stdout).toMatch(/^QEMU .* monitor/);
  }
});

test('the largest disk is the largest file, and the memory has room for QEMU itself', () => {
  expect(ceilingsFor(3072, [1.5 * 2 ** 30, 2 ** 30])).toEqual({
    fileSize: 1.5 * 2 ** 30,
    memory: 11 * 2 ** 30,
    seconds: 172_800,
  });
  expect(ceilingsFor(1024, [4096]).fileSize).toBe(2 ** 26);
});
