import { execa } from 'execa';
import { expect, test } from 'vitest';
import { cli } from '../../support/cli.ts';
import { commandsOfPage, ownCommands, PAGES, readPage } from '../../support/pages.ts';

const PAGE = 'docs/first-release.md';

/** The real stream files; the images that they name cannot be reached from here. */
const STREAMS = new Map([
  ['stable.json', 'test/golden/streams/fcos-stable.json'],
  ['rhcos.json', 'test/golden/streams/rhcos-4.16-x86_64.json'],
]);
/** Tables may be padded. */
const text = () => readPage(PAGE).replace(/ +/g, ' ');
const own = commandsOfPage(PAGE).flatMap((line) => ownCommands(line));

test('the page exists and covers both releases', () => {
  expect(PAGES).toContain(PAGE);
  for (const verb of ['estimate', 'dehydrate', 'audit', '--bundle']) {
    expect(own.filter(([first]) => first === verb)).toHaveLength(2);
  }
});

test.each([...STREAMS])('%s: estimate agrees with the page', async (name, path) => {
  const [words] = own.filter((line) => line[0] === 'estimate' && line.includes(name));
  const args = (words ?? []).map((word) => (word === name ? path : word));
  const { code, stdout } = await cli([...args, '--json']);
  expect(code).toBe(0);
  const [{ artifacts, covered, fetch }] = JSON.parse(stdout.toString()).architectures;
  expect(covered).toBe(artifacts.length);
  // `dehydrate --download` of the same stream would fetch as many files as the table says.
  const dehydrate = own.find((line) => line[0] === 'dehydrate' && line.includes(name));
  expect(dehydrate).toContain('--download');
  expect(dehydrate?.slice(dehydrate.indexOf('--arch'))).toContain('x86_64');
  expect(text()).toContain(`| ${covered} of ${artifacts.length} | ${fetch} |`);
});

test.each([...STREAMS.values()])(
  'the table matches the output of the script for %s',
  async (path) => {
    const [example = ''] = commandsOfPage(PAGE).filter((line) => line.startsWith('node '));
    const [program = '', script = '', , arch = ''] = example.split(' ');
    expect(program).toBe('node');
    const { stdout } = await execa(process.execPath, [script, path, arch]);
    expect(text()).toContain(`| ${stdout} |`);
  },
);

test('only a stream that names signatures is checked with a keyring', async () => {
  for (const [name, path] of STREAMS) {
    const { stdout } = await execa('grep', ['-c', '"signature"', path], { reject: false });
    const dehydrate = own.find((line) => line[0] === 'dehydrate' && line.includes(name));
    expect(dehydrate?.includes('--keyring')).toBe(Number(stdout) > 0);
  }
});
