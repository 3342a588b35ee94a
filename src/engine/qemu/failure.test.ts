import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { STATUS } from '../../../vm/guest/unpack.ts';
import type { Failure } from './attempt.ts';
import { explain, failureError } from './failure.ts';

let folder: string;
const paths = new Map([['rehydrate-metal', '/out/metal.raw']]);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'failure-'));
  await writeFile(join(folder, 'log'), 'whole console\n');
});
afterEach(() => rm(folder, { recursive: true }));

const failure = (cause: Failure['cause']): Failure => ({
  ok: false,
  cause,
  phase: 'unpack',
  spoke: true,
  complaints: [],
  lastLines: ['last but one', 'last'],
  stderr: 'qemu: boo\n',
  consoleLog: join(folder, 'log'),
});
const report = (cause: Failure['cause'], logDir = join(folder, 'logs')) =>
  failureError(failure(cause), { subject: 'x86_64 vm', accel: 'tcg', logDir, paths });

test('names phase, cause and last lines, and keeps the log', async () => {
  const error = await report({ kind: 'inactivity', seconds: 60 });
  expect(error).toMatchObject({ kind: 'engine', code: 'VM_SILENT' });
  expect(error.message).toMatch(/failed in phase unpack \(tcg\): neither .* for 60 s/);
  expect(error.message).toContain('  | last but one\n  | last\n');
  expect(error.context).toMatchObject({ phase: 'unpack', accel: 'tcg' });
  const kept = String(error.context.consoleLog);
  expect(error.message).toContain(kept);
  expect(await readFile(kept, 'utf8')).toMatch(/^whole console\n[\s\S]*boo/);
});

test('a full disk is an I/O error, Ctrl-C a cancellation', async () => {
  const full = await report({ kind: 'disk-full', disk: 'rehydrate-metal' });
  expect(full).toMatchObject({ kind: 'io', code: 'DISK_FULL' });
  expect(full.message).toContain('no space left for /out/metal.raw');
  const cancelled = await report({ kind: 'cancelled', signal: AbortSignal.abort() });
  expect(cancelled.kind).toBe('cancelled');
});

test('a log that cannot be kept does not hide the failure', async () => {
  await writeFile(join(folder, 'file'), '');
  const error = await report({ kind: 'boot', seconds: 9 }, join(folder, 'file'));
  expect(error.code).toBe('VM_TIMEOUT');
  expect(error.message).toContain('could not be kept');
});

test.each([
  [{ kind: 'exit', code: 0, signal: 0, guest: 'guest-reset' }, 'VM_EXITED', 'rebooted'],
  [{ kind: 'exit', code: 0, signal: 9, guest: undefined }, 'VM_EXITED', 'out of memory'],
  [
    { kind: 'guest', task: 'x', status: STATUS.noOsmet, output: 'no a.osmet' },
    'VM_NO_OSMET',
    'no a.osmet',
  ],
  [
    { kind: 'guest', task: 'unpack', status: 1, output: 'hash mismatch' },
    'VM_UNPACK_FAILED',
    'mismatch',
  ],
  [{ kind: 'stuck', seconds: 9, written: 77 }, 'VM_STUCK', 'after 77 bytes'],
  [{ kind: 'stopped', status: 'guest-panicked' }, 'VM_STOPPED', 'guest-panicked'],
] as const)('%j', (cause, code, words) => {
  const verdict = explain(cause, paths);
  expect(verdict.code).toBe(code);
  expect(verdict.what).toContain(words);
});
