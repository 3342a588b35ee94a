import type { TimeBudget } from './profile.ts';

/** Under KVM every architecture runs at the speed of its host. */
export const KVM_SECONDS: TimeBudget = {
  firstOutput: 20,
  boot: 180,
  inactivity: 60,
};

/**
 * Kernel arguments that cost nothing to add to any live system.
 *
 * - `panic=-1`: reboot at once after a panic; `-no-reboot` turns that into an exit of QEMU.
 * - `mitigations=off` and the others turn off protection against programs that do not run here: there is
 *   one user, no network, and a short life. Zeroing each page before use, checking each copy from user
 *   space and charging each page to a cgroup cost CPU time under TCG.
 */
export const LIVE_KARGS: readonly string[] = [
  'panic=-1',
  'mitigations=off',
  'init_on_alloc=0',
  'hardened_usercopy=off',
  'randomize_kstack_offset=off',
  'cgroup_disable=memory',
];
