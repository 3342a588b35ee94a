/**
 * Other tools' deltas between the same base and target. Each script gets BASE, TARGET and a scratch
 * folder DIR, and writes its delta to DIR/delta.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { measure, shell } from './measure.ts';

const rsync = (level: 7 | 19) =>
  'cp --sparse=always "$1" "$3/copy"; touch -d @0 "$3/copy"; ' +
  'rsync --no-whole-file --inplace --only-write-batch="$3/batch" "$2" "$3/copy" >/dev/null; ' +
  `zstd -q -${level} -T0 "$3/batch" -o "$3/delta"`;
const rdiff = (level: 7 | 19) =>
  `rdiff signature "$1" "$3/sig"; rdiff delta "$3/sig" "$2" - | zstd -q -${level} -T0 -o "$3/delta"`;

export const PEERS: Readonly<Record<string, string>> = {
  'rsync batch + zstd -7': rsync(7),
  'rsync batch + zstd -19': rsync(19),
  'rdiff + zstd -7': rdiff(7),
  'rdiff + zstd -19': rdiff(19),
  xdelta3: 'xdelta3 -q -f -e -B 2147483648 -s "$1" "$2" "$3/delta"',
  // Its suffix array takes 17 bytes for each of the base's (bsdiff(1)).
  bsdiff:
    'kib=$(awk "/MemAvailable/ { print \\$2 }" /proc/meminfo); ' +
    '[ $((17 * $(stat -c %s "$1") / 1024)) -lt "$kib" ] || exit 77; bsdiff "$1" "$2" "$3/delta"',
  // A client that has the base would download the chunks that only the target has, and its index.
  casync:
    'casync make --store="$3/a.castr" "$3/a.caibx" "$1" >/dev/null; ' +
    'casync make --store="$3/b.castr" "$3/b.caibx" "$2" >/dev/null; ' +
    '(cd "$3/b.castr" && find . -name "*.cacnk") | ' +
    'while read -r chunk; do [ -e "$3/a.castr/$chunk" ] || echo "$chunk"; done >"$3/new"; ' +
    'tar -cf "$3/delta" -C "$3" b.caibx -C "$3/b.castr" -T "$3/new"',
  'zstd --patch-from': 'zstd -q -f -7 -T0 --long=31 --patch-from="$1" "$2" -o "$3/delta"',
};

/** The files that the scripts leave behind. */
const LEFT_OVERS = [
  ...['copy', 'batch', 'batch.sh', 'sig', 'new', 'delta'],
  ...['a.castr', 'a.caibx', 'b.castr', 'b.caibx'],
] as const;

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
    if (timedOut) return { failed: `> ${timeout / 1000} s` };
    const status = error instanceof Error && 'exitCode' in error ? error.exitCode : undefined;
    return { failed: status === 77 ? 'memory' : status === 127 ? 'not installed' : 'failed' };
  } finally {
    for (const name of LEFT_OVERS) {
      await rm(join(scratch, name), { recursive: true, force: true });
    }
  }
}
