import { expect, test } from 'vitest';
import { parseChallenges } from './challenge.ts';
import { mergeScopes } from './scope.ts';

const read = (...headers: string[]) =>
  parseChallenges(headers).map(({ scheme, parameters }) => [
    scheme,
    Object.fromEntries(parameters),
  ]);

test.each([
  ['Basic realm="r"', [['basic', { realm: 'r' }]]],
  ['bAsIc Realm=r', [['basic', { realm: 'r' }]]],
  [
    'Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"',
    [['bearer', { realm: 'https://a/t', service: 's', scope: 'repository:x:pull,push' }]],
  ],
  [
    'Bearer realm=https://a/t?x=1,service=s',
    [['bearer', { realm: 'https://a/t?x=1', service: 's' }]],
  ],
  ['Bearer realm = "a" , service\t=\t"b"', [['bearer', { realm: 'a', service: 'b' }]]],
  [
    'Bearer realm="a",service="s", Basic realm="b"',
    [
      ['bearer', { realm: 'a', service: 's' }],
      ['basic', { realm: 'b' }],
    ],
  ],
  [
    'Negotiate, Basic realm="b"',
    [
      ['negotiate', {}],
      ['basic', { realm: 'b' }],
    ],
  ],
  [
    'Negotiate YWJj/+==, NTLM, Basic realm="b, c=d"',
    [
      ['negotiate', {}],
      ['ntlm', {}],
      ['basic', { realm: 'b, c=d' }],
    ],
  ],
  ['Basic realm="a \\"quoted\\" \\\\ one"', [['basic', { realm: 'a "quoted" \\ one' }]]],
  ['Basic realm="a",charset="UTF-8",realm="b"', [['basic', { realm: 'a', charset: 'UTF-8' }]]],
  [', ,Basic realm="a",,', [['basic', { realm: 'a' }]]],
  ['Basic', [['basic', {}]]],
  ['', []],
  ['"', []],
  ['realm="a"', []],
  ['Basic realm="never ends', [['basic', { realm: '' }]]],
] as const)('%s', (header, expected) => {
  expect(read(header)).toEqual(expected);
});

test('several headers', () => {
  expect(read('Basic realm="a"', 'Bearer realm="b"').map(([scheme]) => scheme)).toEqual([
    'basic',
    'bearer',
  ]);
});

test('a header that means harm is read in no time', () => {
  const began = performance.now();
  for (const text of ['a=', '"\\', ',', ' ', 'a ', '="', 'a="\\"'])
    parseChallenges([text.repeat(9999)]);
  expect(performance.now() - began).toBeLessThan(5000);
});

test('scopes', () => {
  expect(mergeScopes('repository:x:pull', 'repository:x:push,pull')).toEqual([
    'repository:x:pull,push',
  ]);
  expect(mergeScopes('repository:x:pull repository:h:1/y:pull', 'registry:catalog:*')).toEqual([
    'repository:x:pull',
    'repository:h:1/y:pull',
    'registry:catalog:*',
  ]);
  expect(mergeScopes('', ' ')).toEqual([]);
});
