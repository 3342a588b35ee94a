import { describe, expect, test } from 'vitest';
import { contentsInView } from './view.ts';
import type { Change } from './workers/messages.ts';

const file = (path: string, content = path): Change => ({
  kind: 'file',
  path,
  size: content.length,
  sha256: content,
});
const link = (path: string, target: string): Change => ({ kind: 'link', path, target });
const other = (path: string): Change => ({ kind: 'other', path });

const seen = (...layers: Change[][]) => contentsInView(layers).map(({ sha256 }) => sha256);

describe('the files that remain of the layers', () => {
  test.each<[string, Change[][], string[]]>([
    ['all of one layer', [[file('a'), file('b/c')]], ['a', 'b/c']],
    ['each content once', [[file('a', 'x'), file('b', 'x')]], ['x']],
    ['an upper file instead of a lower one', [[file('a', '1')], [file('a', '2')]], ['2']],
    ['not what is whited out', [[file('a'), file('b')], [file('.wh.a')]], ['b']],
    ['not what is below it', [[file('d/a'), file('d/e/f')], [file('.wh.d')]], []],
    ['what comes back above', [[file('a', '1')], [file('.wh.a')], [file('a', '2')]], ['2']],
    [
      'what lies beside a whiteout in its own layer',
      [[file('d/a', '1')], [file('.wh.d'), file('d/a', '2')]],
      ['2'],
    ],
    [
      'of an opaque folder, only the upper layers',
      [
        [file('d/a'), file('e/a')],
        [file('d/.wh..wh..opq'), file('d/b')],
      ],
      ['e/a', 'd/b'],
    ],
    ['nothing below an opaque root', [[file('a'), file('d/b')], [file('.wh..wh..opq')]], []],
    ['not a folder that became a link', [[file('d/a'), file('e')], [other('d')]], ['e']],
    ['not a file that became a device', [[file('a')], [other('a')]], []],
    ['the last of several of one name', [[file('a', '1'), file('a', '2')]], ['2']],
    [
      'a file whose other name is deleted',
      [[file('a', 'x'), link('b', 'a')], [file('.wh.a')]],
      ['x'],
    ],
    [
      'a link to a file of a lower layer',
      [[file('a', 'x')], [link('b', 'a'), file('.wh.a')]],
      ['x'],
    ],
    ['no link to what is nowhere', [[link('b', 'a')]], []],
    ['no empty files', [[{ kind: 'file', path: 'a', size: 0, sha256: '' }]], []],
  ])('%s', (_, layers, expected) => {
    expect(seen(...layers)).toEqual(expected);
  });

  test('500 layers', () => {
    const layers = Array.from({ length: 500 }, (_, i) => [
      file('same', `same${i}`),
      file(`d${i}/own`),
      ...(i > 0 && i % 2 === 0 ? [file(`.wh.d${i - 1}`)] : []),
    ]);
    const left = seen(...layers);
    expect(left).toContain('same499');
    expect(left).not.toContain('same498');
    expect(left).not.toContain('d1/own');
    expect(left.length).toBe(1 + 500 - 249);
  });

  test('links in a circle are an error', () => {
    expect(() => seen([link('a', 'b'), link('b', 'a')])).toThrow(
      expect.objectContaining({ code: 'LAYER_LINK' }),
    );
  });
});
