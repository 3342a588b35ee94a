import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ARCHITECTURES } from '../../core/arch.ts';
import { chooseLadder, kvmSymptom, probeKvm } from './accel.ts';
import type { Failure } from './attempt.ts';

const hosts = ARCHITECTURES.flatMap((host) => ARCHITECTURES.map((guest) => ({ host, guest })));

test.each(hosts)('auto on $host for $guest', ({ host, guest }) => {
  const ladder = chooseLadder('auto', { host, guest, kvmProblem: undefined });
  expect(ladder.steps).toEqual(host === guest ? ['kvm', 'tcg'] : ['tcg']);
  expect(chooseLadder('tcg', { host, guest, kvmProblem: undefined }).steps).toEqual(['tcg']);
});

test('without /dev/kvm, auto uses TCG, and kvm is an error with the reason', () => {
  const facts = { host: 'x86_64', guest: 'x86_64', kvmProblem: 'there is no /dev/kvm' } as const;
  expect(chooseLadder('auto', facts)).toEqual({ steps: ['tcg'], why: 'there is no /dev/kvm' });
  expect(() => chooseLadder('kvm', facts)).toThrow('there is no /dev/kvm');
  expect(() => chooseLadder('kvm', { ...facts, host: 'aarch64' })).toThrow('the host is aarch64');
  expect(chooseLadder('kvm', { ...facts, kvmProblem: undefined }).steps).toEqual(['kvm']);
});

test('distinguishes a missing device from one that does not open', async () => {
  expect(await probeKvm('/nonexistent/kvm')).toMatch(/^there is no/);
  expect(await probeKvm('/dev/null')).toBeUndefined();
  const folder = await mkdtemp(join(tmpdir(), 'kvm-'));
  expect(await probeKvm(folder)).toContain('EISDIR');
  await rm(folder, { recursive: true });
});

const failure = (part: Partial<Failure>): Failure => ({
  ok: false,
  cause: { kind: 'exit', code: 0, signal: 0, guest: undefined },
  phase: 'boot',
  spoke: false,
  complaints: [],
  lastLines: [],
  stderr: '',
  consoleLog: '',
  ...part,
});
const exit = (code: number, signal = 0, guest?: string) =>
  ({ kind: 'exit', code, signal, guest }) as const;
const badness = {
  kind: 'badness',
  badness: { name: 'kernel panic', match: /x/, ends: true },
  line: 'x',
} as const;

test.each([
  [
    'the MSR that QEMU cannot set',
    {
      cause: exit(0, 6),
      stderr: 'qemu: error: failed to set MSR 0x10a to 0xc000069\nqemu: Assertion',
    },
    /^failed to set MSR 0x10a$/,
  ],
  [
    'an internal error on standard error',
    { stderr: 'KVM internal error. Suberror: 1\nRAX=0' },
    /Suberror: 1/,
  ],
  [
    'an internal error by QMP',
    { cause: { kind: 'stopped', status: 'internal-error' } },
    /internal error/,
  ],
  ['QEMU dead by a signal', { cause: exit(0, 6), spoke: true }, /signal 6/],
  ['QEMU dead by a signal, seen through a shell', { cause: exit(134), spoke: true }, /signal 6/],
  ['an early exit', { cause: exit(1) }, /before the guest spoke/],
  ['silence', { cause: { kind: 'silence', seconds: 20 } }, /no sign of life/],
  ['a hang while booting', { cause: { kind: 'inactivity', seconds: 60 }, spoke: true }, /hung/],
] as const)('speaks against KVM: %s', (_, part, words) => {
  expect(kvmSymptom(failure(part))).toMatch(words);
});

test.each([
  ['a kernel panic', { cause: badness, spoke: true }],
  ['a guest that reboots', { cause: exit(0, 0, 'guest-reset'), spoke: true }],
  ['a hang while unpacking', { cause: { kind: 'inactivity', seconds: 60 }, phase: 'unpack' }],
  ['a full disk', { cause: { kind: 'disk-full', disk: 'm' }, stderr: 'KVM internal error' }],
  [
    'Ctrl-C',
    { cause: { kind: 'cancelled', signal: AbortSignal.abort() }, stderr: 'KVM internal error' },
  ],
] as const)('does not speak against KVM: %s', (_, part) => {
  expect(kvmSymptom(failure(part))).toBeUndefined();
});
