import type { TimeBudget } from './profile.ts';

/** Under KVM every architecture runs at the speed of its host. */
export const KVM_SECONDS: TimeBudget = {
  firstOutput: 20,
  boot: 180,
  unpackPerGiB: 180,
  inactivity: 60,
};

/**
 * Kernel arguments that cost nothing to add to any live system.
 *
 * - `panic=-1`: reboot at once after a panic; `-no-reboot` turns that into an exit of QEMU.
 * - `mitigations=off`: one trusted user, no network, gone in two minutes.
 */
export const LIVE_KARGS: readonly string[] = ['panic=-1', 'mitigations=off'];
