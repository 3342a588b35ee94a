import { join } from 'node:path';
import { CommanderError, InvalidArgumentError } from 'commander';
import { expect, test } from 'vitest';
import { cli } from '../../test/support/cli.ts';
import { temporaryFolder, writeSyntheticBundle } from '../../test/support/synthetic-bundle.ts';
import * as errors from '../core/errors.ts';
import type { Sha256 } from '../core/io/digest.ts';
import { line } from './commands/rehydrate.ts';
import { exitCodeOf } from './exit-code.ts';
import { parseArches, parseFactor, parseList, parseSize } from './options.ts';
import { errorEvent, renderError } from './render-error.ts';

test('exit codes', () => {
  const codes: [unknown, number][] = [
    [new errors.UsageError('', { code: 'REFERENCE' }), 2],
    [new errors.FormatError('', { code: 'GZIP' }), 3],
    [new errors.IntegrityError('', { code: 'BLOB_SIZE' }), 4],
    [new errors.UnsupportedError('', { code: 'ARCH_ABSENT' }), 5],
    [new errors.EngineError('', { code: 'VM_QMP' }), 6],
    [new errors.IoError('', { code: 'IO' }), 7],
    [new errors.ToolError('', { code: 'TOOL_MISSING' }), 8],
    [new errors.CancelledError('', { code: 'CANCELLED' }), 130],
    [new errors.CancelledError('', { code: 'CANCELLED', context: { signal: 'SIGTERM' } }), 143],
    [
      new errors.CancelledError('', {
        code: 'CANCELLED',
        cause: new errors.CancelledError('', { code: 'CANCELLED', context: { signal: 'SIGHUP' } }),
      }),
      129,
    ],
    [new CommanderError(0, 'commander.help', ''), 0],
    [new CommanderError(1, 'commander.unknownOption', ''), 2],
    [new TypeError('bug'), 1],
    ['thrown string', 1],
  ];
  for (const [error, code] of codes) expect(exitCodeOf(error)).toBe(code);
});

test('help lists commands, examples and exit codes', async () => {
  const { code, stdout, stderr } = await cli(['--help']);
  expect(code).toBe(0);
  expect(stderr).toBe('');
  for (const word of ['rehydrate', 'dehydrate', 'inspect', 'Examples:', 'Exit codes:']) {
    expect(stdout.toString()).toContain(word);
  }
  expect((await cli(['dehydrate', '--help'])).stdout.toString()).toContain('--iso-external');
  expect((await cli(['--version'])).stdout.toString()).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test.each([
  [[], 'no platform is named'],
  [['-p', 'qemu', '--arch', 'sparc'], "unknown architecture 'sparc': use one of x86_64"],
  [['-p', 'qemu', '--frob'], "unknown option '--frob'"],
  [['-p', 'a,,b'], 'separated by commas'],
  [['frob'], 'too many arguments'],
  [['-p', 'qemu', '--accel', 'warp'], 'kvm'],
  [['-p', 'qemu', '--engine', 'steam'], 'native'],
  [['-p', 'qemu', '--cache-size', 'much'], '500MiB'],
  [['-p', 'qemu', '--timeout-scale', '0'], 'above 0'],
  [['dehydrate'], '--stream'],
  [['inspect'], 'missing required argument'],
  [['inspect', 'bundle', '--host'], 'not about a bundle'],
])('usage error %j', async (argv, text) => {
  const { code, stdout, stderr } = await cli(argv);
  expect(code).toBe(2);
  expect(stdout.toString()).toBe('');
  expect(stderr).toContain('error:');
  expect(stderr).toContain('fix:');
  expect(stderr).toContain(text);
});

test('inspect --host: what there is to boot with, and what confines it', async () => {
  const { code, stdout } = await cli(['inspect', '--host']);
  expect(code).toBe(0);
  const text = stdout.toString();
  expect(text).toMatch(/^host: .* processors: \d+, memory: /);
  for (const arch of ['x86_64', 'aarch64', 'ppc64le', 's390x']) {
    expect(text).toMatch(new RegExp(`^${arch} +(\\d+\\.\\d+\\.\\d+ +yes|none)`, 'm'));
  }
  const { host } = JSON.parse((await cli(['inspect', '--host', '--json'])).stdout.toString());
  expect(host).toMatchObject({ node: process.version, isolation: { setpriv: true } });
});

test('errors as JSON', async () => {
  await using folder = await temporaryFolder();
  const { code, stderr } = await cli(['-p', 'qemu', '-b', `${folder.path}/none`, '--json']);
  expect(code).toBe(7);
  expect(JSON.parse(stderr)).toMatchObject({ type: 'error', kind: 'io', code: 'NOT_FOUND' });
  expect(await cli(['-p', 'qemu', '-b', '/tmp'])).toMatchObject({ code: 3 });
});

test('inspect recognizes a bundle and lists its artifacts', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const text = await cli(['inspect', bundle.path]);
  expect(text.code).toBe(0);
  expect(text.stdout.toString()).toMatch(/^qemu +opaque +\d+\.\d KiB/m);
  expect(text.stdout.toString()).toContain('missing aws: its file aws.vmdk.xz');
  const json = await cli(['inspect', bundle.path, '--json']);
  const report = JSON.parse(json.stdout.toString());
  expect(report.bundle.architectures[0].totals.artifacts).toBe(5);
  expect(report.bundle.architectures[0].artifacts[0].label).toBe('metal/iso');
  expect(await cli(['inspect', folder.path])).toMatchObject({ code: 5 });
  expect(await cli(['inspect', join(folder.path, 'live.iso')])).toMatchObject({ code: 3 });
  expect(await cli(['inspect', join(folder.path, 'gone')])).toMatchObject({ code: 7 });
});

test('sizes, factors, lists and architectures', () => {
  expect(parseSize('20GiB')).toBe(20 * 2 ** 30);
  expect(parseSize('1.5g')).toBe(1.5 * 2 ** 30);
  expect(parseSize('0')).toBe(0);
  expect(parseSize('512 MB')).toBe(512 * 2 ** 20);
  for (const bad of ['', '-1', 'G', '1e9', '10X', '9999999999T']) {
    expect(() => parseSize(bad), bad).toThrow(InvalidArgumentError);
  }
  expect(parseFactor('2.5')).toBe(2.5);
  for (const bad of ['', '0', '-1', 'x', 'Infinity']) {
    expect(() => parseFactor(bad), bad).toThrow(InvalidArgumentError);
  }
  expect(parseList('a, b', ['z'])).toEqual(['z', 'a', 'b']);
  expect(parseArches('amd64,s390x', ['x86_64'])).toEqual(['x86_64', 's390x']);
  expect(parseArches('arm64, ppc64el')).toEqual(['aarch64', 'ppc64le']);
  expect(parseArches('s390x', 'all')).toBe('all');
  expect(parseArches('s390x,all')).toBe('all');
  expect(() => parseArches('all,vax')).toThrow(InvalidArgumentError);
});

test('an error shows what, where, cause and fix; hostile text is escaped', () => {
  const error = new errors.FormatError('bad \x1b[31mthing\nlast lines', {
    code: 'GZIP',
    context: { file: '/x', gone: undefined, offset: 7 },
    hint: 'mend it',
    cause: new Error('outer', { cause: new Error('inner') }),
  });
  expect(renderError(error, { debug: false })).toBe(
    [
      'error: bad \\x1b[31mthing [GZIP]',
      'last lines',
      'where: file: /x',
      'where: offset: 7',
      'cause: outer',
      'cause: inner',
      'fix: mend it',
      '',
    ].join('\n'),
  );
  expect(renderError(error, { debug: true })).toContain('cli.test.ts');
  expect(renderError(new TypeError('oops'), { debug: false })).toContain('this is a bug');
  expect(errorEvent(error)).toMatchObject({ kind: 'format', causes: ['outer', 'inner'] });
});

test('sha256sum lines escape odd paths as sha256sum does', () => {
  const sha256 = 'a'.repeat(64) as Sha256;
  expect(line({ sha256, path: 'x/y', name: 'y' })).toBe(`${sha256}  x/y\n`);
  expect(line({ sha256, path: undefined, name: 'y' })).toBe(`${sha256}  y\n`);
  expect(line({ sha256, path: 'a\\b\nc', name: 'y' })).toBe(`\\${sha256}  a\\\\b\\nc\n`);
});
