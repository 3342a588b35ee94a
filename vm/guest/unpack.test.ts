import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { createMark, frame } from './frame.ts';
import type { ExtractForm } from './installer.ts';
import {
  type GuestDisk,
  inParallel,
  prefetchScript,
  readCpuTimes,
  STATUS,
  tuneScript,
  unpackScript,
} from './unpack.ts';

const form: ExtractForm = (osmet, repo, device) => ['x', '--osmet', osmet, repo, device];
/** A name as long as real ones get. */
const disk = (variant: string): GuestDisk => ({
  serial: `rehydrate-${variant}`,
  osmet: `fedora-coreos-42.20250705.3.0-${variant}-x86_64-with-a-rather-long-tail.osmet`,
  size: 10 * 2 ** 30,
  sectorSize: 512,
  mapped: 2 ** 30,
});
const shell = (script: string) => spawnSync('sh', ['-c', script], { encoding: 'utf8' });

test('says which osmet is missing, in a real shell', () => {
  const result = shell(unpackScript(disk('metal'), form));
  expect(result.status).toBe(STATUS.noOsmet);
  expect(result.stdout).toContain('no fedora-coreos-42');
});

test('the installer alone gets the environment', () => {
  const script = unpackScript(disk('metal'), form, { OPENSSL_cap: '0', WORDS: 'a b' });
  const run = script.split('; ').find((line) => line.includes('--osmet')) ?? '';
  expect(run).toContain("env OPENSSL_cap='0' WORDS='a b' coreos-installer");
  const alone = run
    .replace('coreos-installer', 'sh -c \'echo "$WORDS" >&2\'')
    .replace(/ & i=.*/, '');
  expect(spawnSync('sh', ['-c', alone], { encoding: 'utf8' }).stderr).toBe('a b\n');
  expect(unpackScript(disk('metal'), form)).not.toContain('env ');
});

test('both disks in one boot still fit a terminal line', () => {
  const script = inParallel(
    ['metal', 'metal4k'].map((variant) => unpackScript(disk(variant), form, { OPENSSL_cap: '0' })),
  );
  const mark = createMark('0123456789abcdef01234567');
  expect(spawnSync('sh', ['-n'], { input: frame(script, mark, mark).line }).status).toBe(0);
});

test('the parallel runner waits for all and reports any failure', () => {
  expect(shell(inParallel(['true', 'true'])).status).toBe(0);
  expect(shell(inParallel(['exit 3', 'sleep 0.2; true'])).status).toBe(3);
  const late = shell(inParallel(['true', 'sleep 0.2; echo late; exit 5']));
  expect(late).toMatchObject({ status: 5, stdout: 'late\n' });
});

test('tuning cannot fail', () => {
  expect(spawnSync('sh', ['-n'], { input: tuneScript() }).status).toBe(0);
  expect(tuneScript()).toMatch(/; true$/);
});

test('the prefetch reads what fits into memory, and never fails', () => {
  const small = prefetchScript([{ ...disk('metal'), mapped: 0 }]);
  const huge = prefetchScript([{ ...disk('metal'), mapped: 2 ** 50 }]);
  for (const script of [small, huge]) {
    expect(spawnSync('sh', ['-n'], { input: script }).status).toBe(0);
    expect(shell(script).status).toBe(0); // no /sysroot on the host that tests
  }
  const reads = (script: string) =>
    shell(script.replaceAll('/sysroot/ostree/deploy', '/etc/default').replace('cat >', 'echo >&2 '))
      .stderr;
  expect(reads(small)).toContain('./');
  expect(reads(huge)).toBe('');
});

test('reads the processor time that a shell tells of its children', () => {
  const busy = 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done';
  const print = 'echo "cpu-times rehydrate-metal "$(tail -n 1 "$f")';
  const { stdout } = shell(
    `f=$(mktemp); sh -c '${busy}' & wait $!; times >"$f"; ${print}; rm "$f"`,
  );
  const times = readCpuTimes(`[ 12.3] kernel says\r\n${stdout}`).get('rehydrate-metal');
  expect(times?.user).toBeGreaterThanOrEqual(0);
  expect(times?.system).toBeGreaterThanOrEqual(0);
  expect(readCpuTimes('cpu-times rehydrate-metal4k 1m2.34s 0m5.6s\r\n')).toEqual(
    new Map([['rehydrate-metal4k', { user: 62.34, system: 5.6 }]]),
  );
  expect(readCpuTimes('cpu-times rehydrate-metal nonsense')).toEqual(new Map());
});
