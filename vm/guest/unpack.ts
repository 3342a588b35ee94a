import { quote } from './frame.ts';
import { type ExtractForm, installerCommand } from './installer.ts';
import { startReadAhead } from './read-ahead.ts';

/** The folder of the live system with the osmets from rootfs.img (coreos-installer's live generator). */
export const OSMET_DIR = '/run/coreos-installer/osmet';
export const REPO = '/sysroot/ostree/repo';

/** Exit statuses of our own script, clear of coreos-installer's 1 and 2 and the shell's 126 and up. */
export const STATUS = { noDisk: 91, wrongDisk: 92, noOsmet: 93, noRepo: 94 } as const;

export interface GuestDisk {
  /** Serial number that QEMU gave the disk. */
  readonly serial: string;
  /** File name of the osmet in {@link OSMET_DIR}. */
  readonly osmet: string;
  /** bytes */
  readonly size: number;
  /** bytes */
  readonly sectorSize: number;
  /** Bytes of the disk that come from OSTree objects. */
  readonly mapped: number;
}

/**
 * Sets `d` to the disk's device node. The kernel numbers disks in the order it finds them, which is
 * not guaranteed, so the disk is known by its serial number; then its size and sector size are
 * checked, so that the wrong disk is never written.
 */
function findDisk(disk: GuestDisk): string {
  const find = `d=; for s in /sys/block/*/serial; do [ "$(cat "$s" 2>/dev/null)" = ${quote(disk.serial)} ] && n=$(basename "$(dirname "$s")") && d=/dev/$n; done`;
  const missing = fail(STATUS.noDisk, `no disk with serial ${disk.serial}`);
  const geometry = `[ "$(blockdev --getsize64 "$d"):$(blockdev --getss "$d")" = ${disk.size}:${disk.sectorSize} ]`;
  const wrong = fail(STATUS.wrongDisk, `disk ${disk.serial} is not ${disk.size} bytes`);
  return `${find}; [ -b "$d" ] || ${missing}; ${geometry} || ${wrong}`;
}

function fail(status: number, message: string): string {
  return `{ echo ${quote(message)}; exit ${status}; }`;
}

/**
 * Sets `rt` to the command that sets a real-time priority, if that is possible (util-linux; some kernels
 * refuse it in a control group). The installer's two threads hand over small pieces and yield while they
 * wait; the fair scheduler usually runs the same thread again, the round-robin one runs the other. The
 * reader ahead has the higher priority, because it works in short bursts. Only where the kernel leaves time to the
 * others (sched(7)): its own threads, which write pages back and decompress, are among them.
 */
const REAL_TIME =
  'rt=; t=$(cat /proc/sys/kernel/sched_rt_runtime_us 2>/dev/null); [ $((t)) -gt 0 ] && chrt -r 1 true 2>/dev/null && rt="chrt -r"';

/**
 * Unpacks one osmet, by an installer with `env` in its environment, and returns once every byte is on the
 * disk. Then prints the processor time that it took in the guest, for {@link readCpuTimes}.
 */
export function unpackScript(
  disk: GuestDisk,
  form: ExtractForm,
  env: Readonly<Record<string, string>> = {},
): string {
  const set = Object.entries(env).map(([name, value]) => `${name}=${quote(value)}`);
  const osmet = `${OSMET_DIR}/${disk.osmet}`;
  const command = [
    ...(set.length > 0 ? ['env', ...set] : []),
    installerCommand(form, osmet, REPO, '$d'),
  ].join(' ');
  const listing = `{ echo "no ${disk.osmet} in ${OSMET_DIR}:"; ls ${OSMET_DIR}; exit ${STATUS.noOsmet}; }`;
  return [
    `[ -f ${quote(osmet)} ] || ${listing}`,
    `[ -d ${REPO}/objects ] || ${fail(STATUS.noRepo, `no OSTree repo at ${REPO}`)}`,
    findDisk(disk),
    REAL_TIME,
    `\${rt:+$rt 1} ${command} & i=$!`,
    `\${rt:+$rt 2} ${startReadAhead('"$d"', '$i')} wait $i || exit $?`,
    'blockdev --flushbufs "$d" || exit $?',
    `times >/run/${disk.serial}.times; echo "${CPU_TIMES} ${disk.serial} "$(tail -n 1 /run/${disk.serial}.times)`,
  ].join('; ');
}

/** Seconds of processor time in the guest. */
export interface CpuTimes {
  /** The installer's own work: decompression and SHA-256. */
  readonly user: number;
  /** The guest's kernel: system calls, page cache, disk requests, switching between threads. */
  readonly system: number;
}

const CPU_TIMES = 'cpu-times';

/** By serial number of the disk, from the output of {@link unpackScript}. POSIX `times`: `1m2.34s 0m5.6s`. */
export function readCpuTimes(output: string): ReadonlyMap<string, CpuTimes> {
  const line = new RegExp(`^${CPU_TIMES} (\\S+) (\\d+)m([\\d.]+)s (\\d+)m([\\d.]+)s\\s*$`, 'gm');
  return new Map(
    [...output.matchAll(line)].map(([, serial = '', um, us, sm, ss]) => [
      serial,
      { user: Number(um) * 60 + Number(us), system: Number(sm) * 60 + Number(ss) },
    ]),
  );
}

/** Runs the scripts at the same time; fails with the status of one that failed. */
export function inParallel(scripts: readonly string[]): string {
  const start = scripts.map((script, i) => `( ${script} ) & p${i}=$!`).join('; ');
  const wait = scripts.map((_, i) => `wait $p${i} || s=$?`).join('; ');
  return `${start}; s=0; ${wait}; exit $s`;
}

/**
 * Makes the guest's page cache start writing back earlier, so that the disk works while the processor
 * decompresses. Best effort: an old kernel may lack a setting.
 */
export function tuneScript(): string {
  return [
    'cd /proc/sys/vm',
    'echo 16777216 >dirty_background_bytes',
    'echo 60 >dirty_ratio',
    'echo 100 >dirty_writeback_centisecs',
    'true',
  ].join('; ');
}

/** The memory that the guest needs besides the objects: the installer, its files, dirty pages of the disks. */
export const HEADROOM_KIB = 768 << 10;

/**
 * Reads every file of the deployment once, if it fits into the guest's memory. The deployment's files are
 * hard links of the repo's objects, in the order in which mksquashfs packed them; the osmet needs them in
 * the order of the disk. Without this, each small object decompresses a whole block of others, again and
 * again. Best effort: with another layout it reads nothing.
 */
export function prefetchScript(disks: readonly GuestDisk[]): string {
  const mappedKib = Math.ceil(Math.max(0, ...disks.map(({ mapped }) => mapped)) / 1024);
  return [
    'while read -r k v u; do [ "$k" = MemAvailable: ] && a=$v; done </proc/meminfo',
    `[ "\${a:-0}" -lt ${mappedKib + HEADROOM_KIB} ] && exit 0`,
    'cd /sysroot/ostree/deploy || exit 0',
    'find . -xdev -type f -print0 | xargs -0 -n 200 -P "$(nproc)" cat >/dev/null',
    'true',
  ].join('; ');
}
