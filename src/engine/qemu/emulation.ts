/** Of a boot to its shell, and for each GiB of disk, on an idle host; see docs/measurements.md for a disk of real size. */
const BOOT_SECONDS = 45;
const SECONDS_PER_GIB = 55;
/** Shorter ones need no hint. */
const LONG_SECONDS = 300;

/** A hint before a long emulated boot: the least time that it takes, and a faster way. */
export function emulationHint(arch: string, diskSizes: readonly number[]): string | undefined {
  const gib = diskSizes.reduce((sum, size) => sum + size, 0) / 2 ** 30;
  const seconds = BOOT_SECONDS + gib * SECONDS_PER_GIB;
  if (seconds < LONG_SECONDS) return undefined;
  const minutes = Math.round(seconds / 60);
  return `emulating ${arch} takes ${minutes} minutes or more for ${gib.toFixed(0)} GiB of disks; --engine native makes them with the same SHA-256 in seconds`;
}
