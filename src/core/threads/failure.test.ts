import { expect, test } from 'vitest';
import { type ErrorKind, FormatError, KINDS_WORST_FIRST, kindError } from '../errors.ts';
import { type Failure, fromFailure, toFailure } from './failure.ts';

/** Through structured clone, as between threads. */
const carry = (error: unknown) => fromFailure(structuredClone<Failure>(toFailure(error)));

test.each(KINDS_WORST_FIRST)('an error of kind %s arrives as it was thrown', (kind: ErrorKind) => {
  const cause = new FormatError('inner', { code: 'GZIP', cause: new TypeError('innermost') });
  const context = { file: 'x', offset: 7 };
  const sent = kindError(kind, 'outer', { code: 'CANCELLED', context, hint: 'try again', cause });
  const got = carry(sent);
  expect(got).toBeInstanceOf(sent.constructor);
  expect(got).toMatchObject({
    kind,
    message: 'outer',
    code: 'CANCELLED',
    context,
    hint: 'try again',
  });
  expect(got.stack).toBe(sent.stack);
  expect(got.cause).toBeInstanceOf(FormatError);
  expect(got.cause).toMatchObject({ message: 'inner', code: 'GZIP', hint: undefined });
  expect((got.cause as Error).cause).toMatchObject({ message: 'innermost' });
});

test('a bug stays a bug, with the stack of the thread', () => {
  const sent = new TypeError('oops');
  const got = carry(sent);
  expect(got).not.toHaveProperty('code');
  expect(got.message).toBe('oops');
  expect(got.stack).toBe(sent.stack);
  expect(carry('thrown string').message).toBe('thrown string');
});

test('a circle of causes ends', () => {
  const error = new Error('round');
  error.cause = error;
  let depth = 0;
  for (let one: unknown = carry(error); one instanceof Error; one = one.cause) depth++;
  expect(depth).toBeLessThan(20);
});
