import { HEADROOM_KIB } from '../../../vm/guest/unpack.ts';

/** Memory of the guest that it does not count as available: kernel, initrd, osmets, services. */
const SYSTEM_MIB = 512;
/** More is of no use, and other work on a large host is not to be disturbed. */
const MOST_MIB = 16 << 10;
/** Of the host's free memory. The rest is its page cache, through which the disks are written. */
const SHARE = 1 / 2;

/**
 * The guest's memory in MiB: enough to keep every object unpacked, or each block of the root image is unpacked again
 * for each of its objects. Never less than the profile's, and beyond that only what the host has free.
 */
export function guestMemory(
  least: number,
  { mapped, free }: { readonly mapped: number; readonly free: number },
): number {
  const wanted = Math.ceil(mapped / 2 ** 20) + HEADROOM_KIB / 1024 + SYSTEM_MIB;
  const spare = Math.floor((free * SHARE) / 2 ** 20);
  return Math.max(least, Math.min(wanted, spare, MOST_MIB));
}
