import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cli } from '../../test/support/cli.ts';
import { temporaryFolder, writeSyntheticBundle } from '../../test/support/synthetic-bundle.ts';

const DEHYDRATE = ['dehydrate', '--stream', 's', '--artifacts', 'a', '-o', 'o'];

test.each([
  [['-p', 'qemu', '--engine', 'native', '--accel', 'kvm'], '--accel', '--engine native'],
  [['-p', 'qemu', '--engine', 'native', '--timeout-scale', '2'], '--timeout-scale', 'native'],
  [['-p', 'qemu', '--no-cache', '--cache-dir', 'x'], '--cache-dir', '--no-cache'],
  [['-p', 'qemu', '--no-cache', '--cache-size', '1G'], '--cache-size', '--no-cache'],
  [['-p', 'qemu', '-q', '--json'], '--quiet', '--json'],
  [['inspect', 'x', '-q', '--json'], '--quiet', '--json'],
  [['-p', 'qemu', '-o', '-', '--force'], '--force', '-o -'],
  [[...DEHYDRATE, '--downloads', '2'], '--downloads', '--download'],
  [[...DEHYDRATE, '--keyring', 'k'], '--keyring', '--download'],
  [['audit', '--report', 'r', '-b', 'x', '--merge', 'a'], '--bundle', '--merge'],
  [['audit', '--report', 'r', '-p', 'qemu', '--merge', 'a'], '--platform', '--merge'],
  [['audit', '--report', 'r', '--engine', 'qemu', '--merge', 'a'], '--engine', '--merge'],
  [['audit', '--report', 'r', '--shard', '1/2', '--merge', 'a'], '--shard', '--merge'],
  [['audit', '--report', 'r', '--no-cache', '--merge', 'a'], '--no-cache', '--merge'],
])('%j: an option that would do nothing is refused', async (argv, option, beside) => {
  const { code, stdout, stderr } = await cli(argv);
  expect(code, stderr).toBe(2);
  expect(stdout.toString()).toBe('');
  expect(stderr).toMatch(new RegExp(`${option} has no effect with(out)?`));
  expect(stderr).toContain(beside);
});

test.each([
  [['rehydrat', '-p', 'qemu'], 'rehydrate'],
  [['dehydrat', '--stream', 'x'], 'dehydrate'],
  [['inpsect', 'x'], 'inspect'],
  [['-p', 'qemu', '--engine', 'QEMU'], 'qemu'],
  [['-p', 'qemu', '--engine', 'qemuu'], 'qemu'],
  [['-p', 'qemu', '--accel', 'kvn'], 'kvm'],
  [['-p', 'qemu', '--arch', 'X86-64'], 'x86_64'],
  [['-p', 'qemu', '--platfrom', 'x'], '--platform'],
])('%j: did you mean', async (argv, meant) => {
  const { code, stderr } = await cli(argv);
  expect(code).toBe(2);
  expect(stderr).toMatch(new RegExp(`did you mean ${meant}\\?`, 'i'));
});

test('platforms, formats and artifacts that the bundle has under a similar name', async () => {
  await using folder = await temporaryFolder();
  const { path } = await writeSyntheticBundle(folder.path);
  const argv = ['-b', path, '-o', `${folder.path}/out/`, '--no-cache', '-p'];
  for (const [name, meant] of [
    ['qemuu', 'qemu'],
    ['QEMU', 'qemu'],
    ['metal-iso', 'metal/iso'],
    ['metal/pxe/kernal', 'metal/pxe/kernel'],
  ] as const) {
    const { code, stderr } = await cli([...argv, name]);
    expect(code).toBe(5);
    expect(stderr).toContain(`fix: did you mean ${meant}? `);
  }
  const format = await cli([...argv, 'qemu', '-f', 'qcow']);
  expect(format).toMatchObject({ code: 5, stderr: expect.stringContaining('did you mean qcow2?') });
});

test.each(['0', '4097', '1.5', 'x', '-1'])('--shards %s says what is allowed', async (shards) => {
  const { code, stderr } = await cli(['plan', `--shards=${shards}`]);
  expect(code).toBe(2);
  expect(stderr).toContain('from 1 to 4096');
});

test('an image does not go to a terminal, or to an output that is closed', async () => {
  await using folder = await temporaryFolder();
  const { path } = await writeSyntheticBundle(folder.path);
  const argv = ['-b', path, '-o', '-', '-p', 'metal/iso', '--no-cache'];
  const terminal = await cli(argv, { stdoutIs: 'terminal' });
  expect(terminal).toMatchObject({ code: 2, stderr: expect.stringContaining('OUTPUT_TERMINAL') });
  expect(terminal.stdout.length).toBe(0);
  const closed = await cli(argv, { stdoutIs: 'closed' });
  expect(closed).toMatchObject({ code: 7, stderr: expect.stringContaining('it is closed') });
});

test('keys and folders are checked before the work', async () => {
  await using folder = await temporaryFolder();
  const { path } = await writeSyntheticBundle(folder.path);
  const at = (name: string) => join(folder.path, name);
  await writeFile(at('key.pem'), 'no key');
  await writeFile(at('file'), '');
  const audit = ['audit', '-b', path, '--no-cache', '-p', 'metal/iso', '--report'];
  const key = await cli([...audit, at('report'), '--sign-key', at('key.pem')]);
  expect(key).toMatchObject({ code: 2, stderr: expect.stringContaining('SIGN_KEY') });
  expect(key.stdout.toString()).toBe('');
  expect(await readdir(folder.path)).not.toContain('report');
  const report = await cli([...audit, at('file/report')]);
  expect(report.code, report.stderr).toBe(7);
  expect(report.stdout.toString()).toBe('');
});
