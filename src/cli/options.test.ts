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
  [['-p', 'qemu', '-o', '-', '--force'], '--force', '-o -'],
  [[...DEHYDRATE, '--downloads', '2'], '--downloads', '--download'],
  [['audit', '--report', 'r', '--iso', 'x', '--merge', 'a'], '--iso', '--merge'],
  [['audit', '--report', 'r', '--part-key', 'k'], '--part-key', '--merge'],
  [['-p', 'qemu', '--authfile', 'x'], '--authfile', '--container'],
  [['serve', '--plain-http'], '--plain-http', '--container'],
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

test('--keyring without --download is refused', async () => {
  const { code, stderr } = await cli([...DEHYDRATE, '--keyring', 'k']);
  expect({ code, stderr }).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--download'),
  });
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

test.each([
  [['--frobnicate'], /unknown option '--frobnicate'/, /See --help/],
  [['-p', 'qemu', '--platfrom', 'x'], /unknown option '--platfrom'/, /Did you mean --platform\?/],
  [['dehydrate'], /required option '--stream/, /See --help/],
  [['inspect', 'a', 'b'], /too many arguments/, /See --help/],
  [['-p', 'qemu', '--engine', 'qemuu'], /'qemuu' is invalid/, /See --help/],
  [['rehydrat'], /no command 'rehydrat'/, /did you mean rehydrate/],
])('%j --json: wrong usage is JSON, too', async (argv, message, hint) => {
  const { code, stdout, stderr } = await cli([...argv, '--json']);
  expect(code, stderr).toBe(2);
  expect(stdout.toString()).toBe('');
  const lines = stderr.trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    ...{ type: 'error', kind: 'usage', code: expect.stringMatching(/^COMMAND_/) },
    ...{ message: expect.stringMatching(message), hint: expect.stringMatching(hint) },
  });
});

test('--help --json prints the help', async () => {
  const { code, stdout, stderr } = await cli(['--help', '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout.toString()).toContain('Usage: iso-rehydrate');
});

test('--quiet --json leaves out progress, not results and failures', async () => {
  await using folder = await temporaryFolder();
  const { path } = await writeSyntheticBundle(folder.path);
  const argv = ['-b', path, '-o', `${folder.path}/out/`, '--no-cache', '--json', '-p'];
  const loud = await cli([...argv, 'metal/iso']);
  expect(loud.stderr).toContain('"type":"phase"');
  const quiet = await cli([...argv, 'metal/iso', '--force', '-q']);
  expect(quiet.code).toBe(0);
  const events = quiet.stderr.trim().split('\n');
  expect(events.map((line) => JSON.parse(line))).toMatchObject([
    { type: 'note', subject: 'trust' },
    { type: 'summary' },
  ]);
  expect(JSON.parse(quiet.stdout.toString())).toMatchObject({ platform: 'metal' });
  const failed = await cli([...argv, 'nowhere', '-q']);
  expect(JSON.parse(failed.stderr.trim().split('\n').at(-1) ?? '')).toMatchObject({
    ...{ type: 'error', code: 'PLATFORM_ABSENT' },
  });
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
