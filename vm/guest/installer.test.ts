import { expect, test } from 'vitest';
import { installerCommand, PROBES, readExtractForm } from './installer.ts';

const [DEV_EXTRACT, OSMET_UNPACK] = PROBES;

/** coreos-installer 0.2x (clap 4). */
const TODAY = `Generate raw metal image from osmet file and OSTree repo

Usage: coreos-installer dev extract osmet --osmet <PATH> <PATH> <DEV>

Arguments:
  <PATH>  OSTree repo
  <DEV>   Destination device

Options:
      --osmet <PATH>  osmet file
  -h, --help          Print help
`;

/** coreos-installer 0.8 (structopt). */
const EARLIER = `coreos-installer-osmet-unpack 0.8.0
Generate raw metal image from osmet file and OSTree repo

USAGE:
    coreos-installer osmet unpack <PATH> <DEV> --osmet <PATH>

FLAGS:
    -h, --help    Prints help information

OPTIONS:
        --osmet <PATH>    osmet file

ARGS:
    <PATH>    OSTree repo
    <DEV>     Destination device
`;

/** The first releases (clap 2 builder). */
const FIRST = `coreos-installer-osmet-unpack
Unpack osmet file into block device

USAGE:
    coreos-installer osmet unpack --repo <PATH> <OSMET> <DEV>

OPTIONS:
        --repo <PATH>    OSTree repo
`;

test.each([
  ['today', DEV_EXTRACT, TODAY, ['dev', 'extract', 'osmet', '--osmet', 'O', 'R', 'D']],
  ['earlier', OSMET_UNPACK, EARLIER, ['osmet', 'unpack', '--osmet', 'O', 'R', 'D']],
  ['first', OSMET_UNPACK, FIRST, ['osmet', 'unpack', '--repo', 'R', 'O', 'D']],
] as const)('%s', (_, subcommand, help, words) => {
  expect(readExtractForm(subcommand, help)?.('O', 'R', 'D')).toEqual(words);
});

test('with carriage returns already gone and a usage line that wraps', () => {
  const wrapped = TODAY.replace(' --osmet <PATH> <PATH>', '\n          --osmet <PATH> <PATH>');
  expect(readExtractForm(DEV_EXTRACT, wrapped)?.('O', 'R', 'D')).toEqual(
    readExtractForm(DEV_EXTRACT, TODAY)?.('O', 'R', 'D'),
  );
});

test.each([
  ['nothing', ''],
  [
    'an error',
    "error: unrecognized subcommand 'extract'\n\nUsage: coreos-installer dev <COMMAND>\n",
  ],
  ['another command', 'Usage: coreos-installer pack osmet [OPTIONS] --output <FILE> <DEV>'],
  ['too few arguments', 'Usage: coreos-installer dev extract osmet --osmet <PATH> <DEV>'],
  ['too many arguments', 'Usage: coreos-installer dev extract osmet --osmet <PATH> <A> <B> <DEV>'],
])('refuses %s', (_, help) => {
  expect(readExtractForm(DEV_EXTRACT, help)).toBeUndefined();
});

test('expands the device variable and quotes the rest', () => {
  const form = readExtractForm(DEV_EXTRACT, TODAY);
  if (!form) throw new Error('no form');
  expect(installerCommand(form, "/o's", '/repo', '$d')).toBe(
    `coreos-installer 'dev' 'extract' 'osmet' '--osmet' '/o'\\''s' '/repo' "$d"`,
  );
});
