import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { supervisedArgv } from './supervise.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'supervise-'));
});
afterEach(() => rm(folder, { recursive: true }));

const alive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** A parent of its own that starts the supervised command, prints its pid and stays. */
function parent(argv: [string, string[]]): ChildProcess {
  const script = `
    const { spawn } = require('node:child_process');
    const argv = JSON.parse(process.argv[1]);
    argv[1] = argv[1].map((arg) => arg.replace('PARENT', String(process.pid)));
    const child = spawn(argv[0], argv[1], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    console.log(child.pid);
    setInterval(() => {}, 1000);`;
  return spawn(process.execPath, ['-e', script, JSON.stringify(argv)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

const supervised = (
  program: string,
  args: string[],
  parentPid: string,
  setpriv = true,
): [string, string[]] => {
  const [file, argv] = supervisedArgv(program, args, {
    stderr: join(folder, 'stderr'),
    parentPid: 424242,
    setpriv,
    lifeline: true,
  });
  return [file, argv.map((arg) => (arg === '424242' ? parentPid : arg))];
};

test.each([
  ['by setpriv', true],
  ['by the end of the lifeline, on a host without setpriv', false],
])('a parent that is killed takes the program along: %s', async (_, setpriv) => {
  const process_ = parent(supervised('sleep', ['600'], 'PARENT', setpriv));
  const [output] = await once(process_.stdout ?? process_, 'data');
  const pid = Number(String(output));
  await delay(500);
  expect(await readFile(`/proc/${pid}/comm`, 'utf8')).toBe('sleep\n');
  process_.kill('SIGKILL');
  await once(process_, 'exit');
  for (let i = 0; i < 50 && alive(pid); i++) await delay(50);
  expect(alive(pid)).toBe(false);
});

test('does not start for another parent, and keeps standard error apart', async () => {
  const [file, args] = supervised('sh', ['-c', 'echo said >&2; exit 7'], '1');
  const [orphan] = await once(spawn(file, args), 'exit');
  expect(orphan).toBe(125);
  const [own, ownArgs] = supervised('sh', ['-c', 'echo said >&2; exit 7'], `${process.pid}`);
  const [status] = await once(spawn(own, ownArgs), 'exit');
  expect(status).toBe(7);
  expect(await readFile(join(folder, 'stderr'), 'utf8')).toBe('said\n');
});

const limited = (fileSize: number, memory: number) =>
  supervisedArgv('sh', ['-c', 'ulimit -c; ulimit -f; ulimit -v; ulimit -t'], {
    ...{ stderr: join(folder, 'stderr'), parentPid: process.pid, setpriv: true },
    limits: { fileSize, memory, seconds: 60 },
  });

test('a program cannot write more than its largest file', async () => {
  const [file, args] = limited(1 << 20, 1 << 30);
  const { stdout } = await execa(file, args);
  expect(stdout.split('\n')).toEqual(['0', '2048', `${2 ** 20}`, '60']);
  const target = join(folder, 'big');
  const [writer, words] = supervisedArgv(
    'dd',
    ['if=/dev/zero', `of=${target}`, 'bs=2M', 'count=1'],
    {
      ...{ stderr: join(folder, 'stderr'), parentPid: process.pid, setpriv: true },
      limits: { fileSize: 1 << 20, memory: 1 << 30, seconds: 60 },
    },
  );
  const { failed } = await execa(writer, words, { reject: false });
  // By SIGXFSZ or EFBIG, as the parent has it.
  expect(failed).toBe(true);
  expect((await stat(target)).size).toBe(1 << 20);
});
