import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createMark, type Frame, frame, isMarkLine, matchFrame, quote, spell } from './frame.ts';

const mark = () => createMark(randomBytes(12).toString('hex'));
const framed = (script: string): Frame => frame(script, mark(), mark());
/** What a real shell prints when the frame is typed to it. */
const shell = (line: string) => execFileSync('sh', ['-c', line], { encoding: 'utf8' });

test('reads output and status of what a real shell ran', () => {
  const ok = framed('echo hello; echo oops >&2');
  expect(matchFrame(ok, shell(ok.line))).toEqual({ status: 0, output: 'hello\noops' });
  const bad = framed('echo before; exit 37; echo after');
  expect(matchFrame(bad, shell(bad.line))).toEqual({ status: 37, output: 'before' });
  const stdin = framed('cat; echo eof');
  expect(matchFrame(stdin, shell(stdin.line))).toEqual({ status: 0, output: 'eof' });
});

test('its own echo never matches, wrapped or not', () => {
  const f = framed('echo x');
  expect(f.line).not.toContain(f.begin);
  expect(f.line).not.toContain(f.end);
  expect(matchFrame(f, `$ ${f.line}\n${f.line.replace(/.{80}/g, '$&\n')}`)).toBeUndefined();
});

test('survives a kernel message in the middle of a mark', () => {
  const f = framed('echo x');
  const torn = `${f.end.slice(0, 7)}[  1.0] usb 1-1: new device\n${f.end.slice(7)}:3;\n`;
  expect(matchFrame(f, torn)).toBeUndefined();
  expect(matchFrame(f, `${f.begin}\nx\n${torn}\n${f.end}:3;\n`)?.status).toBe(3);
});

test('takes no other frame for its own', () => {
  const other = framed('true');
  const f = framed('true');
  expect(matchFrame(f, shell(other.line))).toBeUndefined();
});

test('refuses what a terminal line cannot carry', () => {
  expect(() => framed('a\nb')).toThrow('one line');
  expect(() => framed('x'.repeat(4000))).toThrow('too long');
  expect(() => createMark('short')).toThrow('random');
});

test('knows a mark line from a line of text', () => {
  expect(isMarkLine(`${spell(mark())}:0;`)).toBe(true);
  expect(isMarkLine('deadbeef')).toBe(false);
});

test('quotes any word for a real shell', () => {
  const word = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0'));
  fc.assert(
    fc.property(word, (text) => {
      expect(shell(`printf %s ${quote(text)}`)).toBe(Buffer.from(text).toString());
    }),
    { numRuns: 60 },
  );
});
