import { expect, test } from 'vitest';
import { exitCodeOf } from '../cli/exit-code.ts';
import { errorEvent, renderError } from '../cli/render-error.ts';
import * as errors from './errors.ts';
import { architecturesFailed, partsOf } from './failures.ts';

const engine = new errors.EngineError('went silent\nlast console lines:\n  | x', {
  code: 'VM_SILENT',
  context: { phase: 'boot' },
  hint: 'give it more time with --timeout-scale',
});
const integrity = new errors.IntegrityError('wrong bytes', {
  code: 'BASE_DIGEST',
  cause: new Error('a cosmic ray'),
});
const absent = new errors.UnsupportedError('not there', { code: 'ISO_NO_OSMET' });

const failed = (first: unknown, second: unknown) =>
  architecturesFailed('2 of 3 architectures failed: aarch64, s390x', [
    { architecture: 'aarch64', error: first },
    { architecture: 's390x', error: second },
  ]);

test('the exit code is that of the worst', () => {
  const io = new errors.IoError('full', { code: 'DISK_FULL' });
  const format = new errors.FormatError('torn', { code: 'SHORT_READ' });
  const tool = new errors.ToolError('no qemu', { code: 'QEMU_MISSING' });
  const usage = new errors.UsageError('no ISO', { code: 'ISO_EXTERNAL' });
  const worstFirst = [new TypeError('a bug'), integrity, format, engine, io, tool, usage, absent];
  expect(worstFirst.map(exitCodeOf)).toEqual([1, 4, 3, 6, 7, 8, 2, 5]); // as --help tells
  for (const [index, worse] of worstFirst.entries()) {
    for (const other of worstFirst.slice(index)) {
      expect(exitCodeOf(failed(worse, other))).toBe(exitCodeOf(worse));
      expect(exitCodeOf(failed(other, worse))).toBe(exitCodeOf(worse));
    }
  }
});

test('each keeps its own message, place, cause and hint', () => {
  expect(renderError(failed(engine, integrity), { debug: false })).toBe(
    [
      'error: 2 of 3 architectures failed: aarch64, s390x [ARCHITECTURES_FAILED]',
      'where: architectures: aarch64, s390x',
      'error: aarch64: went silent [VM_SILENT]',
      'last console lines:',
      '  | x',
      'where: architecture: aarch64',
      'where: phase: boot',
      'fix: give it more time with --timeout-scale',
      'error: s390x: wrong bytes [BASE_DIGEST]',
      'where: architecture: s390x',
      'cause: a cosmic ray',
      '',
    ].join('\n'),
  );
  expect(errorEvent(failed(engine, absent))).toMatchObject({
    type: 'error',
    kind: 'engine',
    code: 'ARCHITECTURES_FAILED',
    failures: [
      { kind: 'engine', code: 'VM_SILENT', context: { architecture: 'aarch64', phase: 'boot' } },
      { kind: 'unsupported', code: 'ISO_NO_OSMET', context: { architecture: 's390x' } },
    ],
  });
});

test('a bug among them is reported as one, with its stack', () => {
  const error = failed(new TypeError('undefined is not'), engine);
  expect(partsOf(error)).toHaveLength(2);
  const text = renderError(error, { debug: true });
  expect(text).toContain('error: internal error: aarch64: undefined is not');
  expect(text).toContain('report it');
  expect(text).toContain('error: s390x: went silent');
  expect(text).toContain('failures.test.ts');
  expect(errorEvent(error)).toMatchObject({ kind: 'internal', failures: [{}, {}] });
});

test('other errors have no parts', () => {
  expect(partsOf(engine)).toEqual([]);
  expect(partsOf('text')).toEqual([]);
});
