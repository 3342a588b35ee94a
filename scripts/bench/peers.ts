/**
 * What others make of the same base and target. Each script gets BASE, TARGET and a scratch folder,
 * and leaves its delta at DIR/delta.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { measure, shell } from './measure.ts';

export const PEERS: Readonly<Record<string, string>> = {
  'rsync batch + zstd -7':
    'cp --sparse=always "$1" "$3/copy"; touch -d @0 "$3/copy"; ' +
    'rsync --no-whole-file --inplace --only-write-batch="$3/batch" "$2" "$3/copy" >/dev/null; ' +
    'zstd -q -7 -T0 "$3/batch" -o "$3/delta"',
  'rdiff + zstd -7':
    'rdiff signature "$1" "$3/sig"; rdiff delta "$3/sig" "$2" - | zstd -q -7 -T0 -o "$3/delta"',
  xdelta3: 'xdelta3 -q -f -e -B 2147483648 -s "$1" "$2" "$3/delta"',
  'zstd --patch-from': 'zstd -q -f -7 -T0 --long=31 --patch-from="$1" "$2" -o "$3/delta"',
};

export type PeerResult = { readonly seconds: number; readonly size: number } | { failed: string };

export async function runPeer(
  script: string,
  base: string,
  target: string,
  scratch: string,
  timeout: number,
): Promise<PeerResult> {
  try {
    const { seconds } = await measure(shell(script, base, target, scratch), timeout);
    return { seconds, size: (await stat(join(scratch, 'delta'))).size };
  } catch (error) {
    const timedOut = error instanceof Error && 'timedOut' in error && error.timedOut === true;
    return { failed: timedOut ? `> ${timeout / 1000} s` : 'failed' };
  } finally {
    for (const name of ['copy', 'batch', 'sig', 'delta', 'batch.sh']) {
      await rm(join(scratch, name), { force: true });
    }
  }
}
