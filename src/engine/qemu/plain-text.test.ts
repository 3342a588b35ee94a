import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPlainText } from './plain-text.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const whole = (text: string) => createPlainText()(bytes(text));

test.each([
  ['colours', '\x1b[0;1;31mred\x1b[0m text', 'red text'],
  ['cursor queries', 'a\x1b[6n\x1b[c\x1b]11;?\x07b', 'ab'],
  ['string controls', 'a\x1bP+q544e\x1b\\b\x1b]0;title\x1b\\c', 'abc'],
  ['short sequences', '\x1b7\x1b(Bx\x1b8\x1bc', 'x'],
  ['line ends', 'one\r\ntwo\r\r\nthree\rfour\n', 'one\ntwo\nthree\nfour\n'],
  ['control characters', 'a\x00b\x07c\x7fd\u009be\tf', 'abcde\tf'],
  ['text that reorders itself', 'abc\u202edcb\u2066', 'abcdcb'],
])('removes %s', (_, dirty, clean) => {
  expect(whole(`${dirty}.`)).toBe(`${clean}.`);
});

test('chunks may end anywhere', () => {
  const text = 'häuser\r\n\x1b[1;32mok\x1b[0m \x1b]0;long title\x07 login: core\r\n';
  const cut = fc.array(fc.nat(text.length), { maxLength: 8 });
  fc.assert(
    fc.property(cut, (cuts) => {
      const plain = createPlainText();
      const data = bytes(text);
      const edges = [0, ...cuts.sort((a, b) => a - b), data.length];
      const parts = edges.slice(1).map((end, i) => plain(data.subarray(edges[i], end)));
      expect(parts.join('')).toBe(whole(text));
    }),
  );
});

test('no output of a guest becomes a terminal control sequence', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 }), (chunks) => {
      const plain = createPlainText();
      const out = chunks.map(plain).join('');
      // biome-ignore lint/suspicious/noControlCharactersInRegex: the point of the test
      expect(out).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
    }),
  );
});

test('an escape sequence that never ends does not swallow the console', () => {
  const plain = createPlainText();
  const out = plain(bytes('\x1b]0;never ending')) + plain(bytes('x'.repeat(400)));
  expect(out).toContain('xxx');
});
