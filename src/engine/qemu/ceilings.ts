import type { ResourceLimits } from '../../../vm/supervise.ts';

/** QEMU itself, its libraries, TCG's translations (1 GiB at most, accel/tcg/region.c) and the stacks of its threads. */
const QEMUS_OWN = 8 * 2 ** 30;
/** Standard error and the like. */
const LEAST_FILE = 64 * 2 ** 20;
/** Two days: the limits by progress end what hangs; this ends what no longer obeys. */
const SECONDS = 2 * 24 * 3600;

/** What the kernel lets a machine have at most, so that a guest that has broken out of it cannot fill the host. */
export function ceilingsFor(memoryMiB: number, diskSizes: readonly number[]): ResourceLimits {
  return {
    fileSize: Math.max(LEAST_FILE, ...diskSizes),
    memory: memoryMiB * 2 ** 20 + QEMUS_OWN,
    seconds: SECONDS,
  };
}
