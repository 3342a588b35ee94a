import { quote } from './frame.ts';

/**
 * Reads a disk a little ahead of the program that writes it.
 *
 * The installer writes the disk front to back through the guest's page cache, in pieces of up to 8 KiB that
 * start wherever the piece before ended. A piece that covers a page only in part makes the kernel read that
 * page first, unless it is cached: many pages then cost a small request each, for which the installer
 * waits. This reader fetches them in large pieces instead.
 */

const SCRIPT = '/run/iso-rehydrate-read-ahead';

/**
 * How far ahead, in MiB: enough for seconds of the installer's work, and a small part of the guest's
 * memory.
 */
const WINDOW = 256;
/** MiB per step. */
const STEP = 64;

/** `sh SCRIPT DEVICE PID`. Ends with the process; best effort: whatever fails, it only reads. */
const LINES = [
  'dev=$1 pid=$2 next=0',
  'blockdev --setra 4096 "$dev"',
  'size=$(blockdev --getsize64 "$dev") || exit 0',
  'size=$((size >> 20))',
  'position() {',
  '  p=',
  '  for f in /proc/$pid/fd/*; do',
  '    [ "$f" -ef "$dev" ] || continue',
  '    while read -r key value; do',
  '      [ "$key" = pos: ] && p=$((value >> 20))',
  `    done <"/proc/$pid/fdinfo/\${f##*/}"`,
  '  done',
  '}',
  'while [ "$next" -lt "$size" ]; do',
  '  kill -0 "$pid" || exit 0',
  '  position',
  '  [ -n "$p" ] || { sleep 0.2; continue; }',
  '  [ "$next" -lt "$p" ] && next=$p',
  `  [ $((next - p)) -lt ${WINDOW} ] || { sleep 1; continue; }`,
  `  dd if="$dev" of=/dev/null bs=1M skip="$next" count=${STEP}`,
  `  next=$((next + ${STEP}))`,
  'done',
];

/** Installs the reader; must run once before {@link startReadAhead}. */
export function placeReadAhead(): string {
  return `printf '%s\\n' ${LINES.map(quote).join(' ')} >${SCRIPT}`;
}

/** Starts the reader in the background. Both arguments are words of shell. */
export function startReadAhead(device: string, pid: string): string {
  return `sh ${SCRIPT} ${device} ${pid} >/dev/null 2>&1 &`;
}
