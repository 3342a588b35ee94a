import { expect, test } from 'vitest';
import { escapeMarkup, oneLine, printable, printableLine, reportable } from './printable.ts';

const HOSTILE = 'a\tb\nc\x1b[31m\x9b\u202e<&"\'';

test.each([
  [printable, 'a\tb\nc\\x1b[31m\\x9b\u202e<&"\''],
  [printableLine, 'a\\u{9}b\\u{a}c\\u{1b}[31m\\u{9b}\\u{202e}<&"\''],
  [reportable, 'a\tb\nc?[31m?\u202e<&"\''],
  [oneLine, 'a b c [31m  <&"\''],
  [escapeMarkup, 'a\tb\nc?[31m\x9b\u202e&lt;&amp;&quot;&#39;'],
])('$name', (rule, text) => {
  expect(rule(HOSTILE)).toBe(text);
});

test('data in files is bounded', () => {
  expect(reportable('x'.repeat(1 << 20))).toHaveLength(20_000);
  expect(oneLine('x'.repeat(1 << 20))).toHaveLength(1000);
});
