import { execa } from 'execa';
import { expect, test } from 'vitest';
import { cli } from './support/cli.ts';

test('--help shows examples and exit codes on stdout', async () => {
  const { exitCode, stdout, stderr } = await cli(['--help']);
  expect(exitCode).toBe(0);
  expect(stderr).toBe('');
  expect(stdout).toContain('Examples:');
  expect(stdout).toContain('Exit codes:');
});

test.each([
  [['--platform', 'qemu', '--arch', 'vax'], 2, 'unknown architecture'],
  [['--nonsense'], 2, 'unknown option'],
  [[], 2, 'no platform is named'],
  [['--platform', 'qemu', '--bundle', '/dev/null/none'], 7, '/dev/null/none'],
  [['inspect', '/dev/null'], 5, '/dev/null'],
  [
    ['dehydrate', '--stream', '/nonexistent', '--artifacts', '.', '-o', '/tmp/never'],
    7,
    'nonexistent',
  ],
] as const)('%j ends with exit code %i and says why', async (args, code, text) => {
  const { exitCode, stdout, stderr } = await cli(args);
  expect(stderr).toContain(text);
  expect(exitCode).toBe(code);
  expect(stdout).toBe('');
});

test('help works in a pipe that closes early', async () => {
  const { exitCode } = await execa('sh', [
    ...['-c', '"$0" dist/src/cli/bin.js --help | head -n 1', process.execPath],
  ]);
  expect(exitCode).toBe(0);
});
