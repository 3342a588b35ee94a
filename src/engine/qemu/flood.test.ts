import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { expect, test } from 'vitest';

const PROGRAM = join(import.meta.dirname, '../../../test/support/flooded.ts');

/** Guests that mean harm; none of them reads what it is told. */
const FLOODS: readonly (readonly [string, string])[] = [
  ['terminal queries', String.raw`s=$(printf '\033[6n\033[c\033[5n\033[>c%.0s' $(seq 500))`],
  [
    'terminal queries in a raw terminal',
    String.raw`stty raw -echo; s=$(printf '\033[6n%.0s' $(seq 900))`,
  ],
  [
    'broken sequences',
    String.raw`s=$(printf '\033[?9999999999;1$p\033P+q\033[38;2;1;2;3;4m\033]52;c;\033\\%.0s' $(seq 500))`,
  ],
  ['one line without an end', "s=$(printf 'x%.0s' $(seq 4000))"],
  ['letters with a thousand accents', String.raw`s=$(printf 'e\314\201%.0s\314\201' $(seq 2000))`],
];

test.each(FLOODS)(
  '%s: nothing of it on our streams, bounded, and an ear for SIGTERM',
  async (_, set) => {
    const program = execa(process.execPath, [PROGRAM, `${set}; while :; do printf %s "$s"; done`], {
      reject: false,
      env: { NODE_NO_WARNINGS: '1' },
      timeout: 60_000,
      killSignal: 'SIGKILL',
    });
    let said = '';
    program.stdout.on('data', (chunk: Buffer) => {
      said += String(chunk);
    });
    let ended = false;
    program.finally(() => {
      ended = true;
    });
    while (said.split('\n').length < 4 && !ended) await delay(100);
    const told = performance.now();
    program.kill('SIGTERM');
    const result = await program;
    expect(result.stderr).toBe('');
    expect(result.exitCode).toBe(0);
    expect(performance.now() - told).toBeLessThan(20_000);
    const reports = said
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, number>);
    expect(reports.at(-1)).toEqual({ ended: 9 });
    for (const { megabytes = 0 } of reports) expect(megabytes).toBeLessThan(400);
    // A megabyte each quarter of a second, and what is under way.
    const seconds = reports.length - 1;
    expect(reports.at(-2)?.bytes).toBeLessThan((seconds + 1) * (4 << 20) * 1.5);
  },
);
