import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import * as v from 'valibot';
import { measure, script, shell } from './measure.ts';
import { bytes, mebibytes, seconds, table } from './table.ts';

const Run = v.object({ find: v.number(), encode: v.number() });

/** As release jobs compress; threads where the program has them. */
const WAYS = [
  ['gzip', '-6'],
  ['gzip', '-9'],
  ['zip', '-6'],
  ['xz', '-0', '-T2'],
  ['xz', '-6', '-T2'],
  ['xz', '-9', '-T2'],
] as const;

/**
 * The same file compressed by the original program and by us, the same bytes both times: _find_ is the time to find out
 * how the program did it, which `dehydrate` does once, _make_ is the time to do it again. Returns a table.
 */
export async function releasedTable(file: string, work: string): Promise<string> {
  const rows = [];
  const [made, again] = [join(work, 'made'), join(work, 'again')];
  for (const [program, ...args] of WAYS) {
    const from = program === 'zip' ? '-q - "$2"' : '-c "$2"';
    const theirs = await measure(
      shell(
        `out=$1; shift; exec ${program} "$1" $3 ${from} >"$out"`,
        made,
        args[0],
        file,
        args[1] ?? '',
      ),
    );
    const kind = program === 'gzip' ? 'gz' : program;
    const ours = await measure([
      process.execPath,
      script('released-run.ts'),
      kind,
      file,
      made,
      again,
    ]);
    await execa('cmp', [made, again]);
    const { find, encode } = v.parse(Run, JSON.parse(ours.stdout));
    rows.push([
      [program, ...args].join(' '),
      bytes((await stat(made)).size),
      seconds(theirs.seconds),
      seconds(find),
      seconds(encode),
      (encode / theirs.seconds).toFixed(2),
      mebibytes(theirs.peakRss),
      mebibytes(ours.peakRss),
    ]);
  }
  const head = ['program', 'bytes', 'its time', 'find', 'make', 'times its', 'its RSS', 'our RSS'];
  return table(head, rows);
}
