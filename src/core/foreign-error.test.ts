import { readFile } from 'node:fs/promises';
import { inflateSync, zstdDecompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { CancelledError, FormatError, IoError } from './errors.ts';
import { ours } from './foreign-error.ts';

const thrown = async (body: () => unknown): Promise<unknown> => {
  try {
    await body();
  } catch (error) {
    return error;
  }
  throw new Error('it should have thrown');
};

const named = (code: string, more: object = {}) =>
  Object.assign(new Error(`${code}: as Node says it`), { code, ...more });

/** As Node throws it for a number that libuv has no name for. */
const unnamed = (number: number, code = `Unknown system error -${number}`) =>
  named(code, { errno: -number, syscall: 'fsync' });

test.each([
  ['a file that is not there', () => readFile('/gone/x'), 'cannot open /gone/x'],
  ['too many files', () => Promise.reject(named('EMFILE', { syscall: 'open' })), 'too many open'],
  ['a read-only disk', () => Promise.reject(named('EROFS', { syscall: 'mkdir' })), 'read-only'],
  ['a bad sector', () => readFile('/proc/self/mem'), 'input/output'],
  ['a quota, which libuv does not know', () => Promise.reject(unnamed(122)), 'disk quota exceeded'],
  ['a damaged file system', () => Promise.reject(unnamed(117)), 'the file system is damaged'],
  ['a stale NFS handle', () => Promise.reject(unnamed(116, 'UNKNOWN')), 'gone from its server'],
  ['a number without a name', () => Promise.reject(unnamed(131)), 'E131'],
  ['a cut connection', () => Promise.reject(named('ECONNRESET')), 'the connection broke off'],
  [
    "fetch's wrapping",
    () => Promise.reject(new TypeError('terminated', { cause: named('UND_ERR_SOCKET') })),
    'a connection failed',
  ],
])('%s is of the kind io', async (_what, body, text) => {
  const error = ours(await thrown(body));
  expect(error).toBeInstanceOf(IoError);
  expect(error).toMatchObject({ message: expect.stringContaining(text) });
});

test.each([
  ['JSON', () => JSON.parse('{"a')],
  ['zlib', () => inflateSync(Buffer.from('x'))],
  ['zstd', () => zstdDecompressSync(Buffer.from('xxxxxxxx'))],
])('malformed data (%s) is of the kind format', async (_what, body) => {
  expect(ours(await thrown(body))).toBeInstanceOf(FormatError);
});

test('a bug stays one', () => {
  const bug = new TypeError('undefined is not a function');
  expect(ours(bug)).toBe(bug);
  expect(ours(new Error('outer', { cause: bug }))).toBeInstanceOf(Error);
  expect(ours('text')).toBe('text');
});

test('a failure to clean up does not hide why the work ended', async () => {
  const cancelled = new CancelledError('stopped', { code: 'CANCELLED' });
  const work = async () => {
    const fails = () => readFile('/gone/x').then(() => {});
    await using _outer = { [Symbol.asyncDispose]: fails };
    await using _inner = { [Symbol.asyncDispose]: fails };
    throw cancelled;
  };
  expect(ours(await thrown(work))).toBe(cancelled);
});
