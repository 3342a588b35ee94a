import fc from 'fast-check';
import * as v from 'valibot';
import { expect, test } from 'vitest';
import { FormatError } from '../errors.ts';
import { canonicalJson } from './canonical.ts';
import { fileNameField, textField } from './fields.ts';
import { jsonPath, parseJson } from './parse.ts';

test('canonical JSON sorts keys at every depth and has no white space', () => {
  const value = { b: [{ z: 1, a: null }], a: 'é"\n', gone: undefined };
  expect(canonicalJson(value).toString()).toBe('{"a":"é\\"\\n","b":[{"a":null,"z":1}]}');
});

test('JSON with a mark of UTF-8 or in other line ends is read; of UTF-16 it is said', () => {
  const options = { what: 'thing', source: 'a.json' };
  const schema = v.object({ a: v.number() });
  const text = '{\r\n"a": 1\r\n}\r\n';
  expect(parseJson(Buffer.from(`\ufeff${text}`), schema, options)).toEqual({ a: 1 });
  for (const bytes of [Buffer.from(`\ufeff${text}`, 'utf16le'), Buffer.from(text, 'utf16le')]) {
    for (const one of [bytes, Buffer.from(bytes).swap16()]) {
      expect(() => parseJson(one, schema, options)).toThrow(
        expect.objectContaining({ code: 'JSON_SYNTAX', hint: 'convert it to UTF-8' }),
      );
    }
  }
});

test('canonical JSON refuses values without a canonical form', () => {
  for (const value of [0.5, 2 ** 60, Number.NaN, undefined, [undefined], new Date(), () => 1]) {
    expect(() => canonicalJson(value)).toThrow(TypeError);
  }
});

test('canonical JSON is stable under parsing and under the order of keys', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4, noUnicodeString: false }), (value) => {
      let bytes: Buffer;
      try {
        bytes = canonicalJson(value);
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError); // fractions
        return;
      }
      expect(canonicalJson(JSON.parse(bytes.toString()))).toEqual(bytes);
    }),
  );
});

test('a JSON path quotes keys that are not identifiers', () => {
  expect(jsonPath(['architectures', 'x86_64', 'raw.xz', 'sha-256', 3])).toBe(
    '$.architectures.x86_64["raw.xz"]["sha-256"][3]',
  );
});

test('syntax and encoding errors are FormatErrors that name the file', () => {
  const options = { what: 'thing', source: 'a.json' };
  for (const bytes of [Buffer.from('{'), Buffer.from([0x22, 0xff, 0x22]), Buffer.alloc(0)]) {
    expect(() => parseJson(bytes, v.unknown(), options)).toThrow(
      expect.objectContaining({ code: 'JSON_SYNTAX', context: { file: 'a.json' } }),
    );
  }
});

test('schema errors name the path and how many more there are', () => {
  const schema = v.object({ a: v.array(v.number()), b: v.string() });
  expect(() =>
    parseJson(Buffer.from('{"a":[1,"x"],"b":2}'), schema, { what: 'thing', source: 's' }),
  ).toThrow(/malformed at \$\.a\[1\]: .*\(and 1 more\)/);
});

test('deep nesting does not overflow the stack', () => {
  const bytes = Buffer.from('['.repeat(200_000) + ']'.repeat(200_000));
  expect(() => parseJson(bytes, v.string(), { what: 'thing', source: 's' })).toThrow(FormatError);
});

test('file names are bare', () => {
  for (const name of ['a', 'fedora-coreos-42.2_x.qcow2.xz', 'a~1+b^2:c@d=e,f']) {
    expect(v.is(fileNameField, name)).toBe(true);
  }
  for (const name of [
    '',
    '.',
    '..',
    '.a',
    '-rf',
    'a/b',
    'a\\b',
    'a\0',
    'a\nb',
    'ä',
    'x'.repeat(256),
  ]) {
    expect(v.is(fileNameField, name), JSON.stringify(name)).toBe(false);
  }
});

test('texts are one printable line', () => {
  expect(v.is(textField(20), 'Fedora CoreOS é 42')).toBe(true);
  for (const text of ['\x1b[31m', 'a\nb', '\u202e', 'x'.repeat(21)]) {
    expect(v.is(textField(20), text), JSON.stringify(text)).toBe(false);
  }
});
