import { expect, test } from 'vitest';
import { retryAfterOf } from './retry.ts';

const NOW = Date.UTC(2026, 0, 31, 23, 59, 30);
const asked = (value: string | undefined) =>
  retryAfterOf({ header: (name) => (name === 'retry-after' ? value : undefined) }, NOW);

test.each([
  ['120', 120_000],
  [' 0 ', 0],
  // The three forms of RFC 9110, 5.6.7.
  ['Sun, 01 Feb 2026 00:00:00 GMT', 30_000],
  ['Sunday, 01-Feb-26 00:00:00 GMT', 30_000],
  ['Sun Feb  1 00:00:00 2026', 30_000],
  ['Fri, 30 Jan 2026 00:00:00 GMT', 0],
  ['soon', undefined],
  ['-5', undefined],
  ['1.5', undefined],
  ['9'.repeat(40), undefined],
  ['', undefined],
  [undefined, undefined],
])('Retry-After: %s is %s ms from now', (value, expected) => {
  expect(asked(value)).toBe(expected);
});
