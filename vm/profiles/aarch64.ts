import { KVM_SECONDS, LIVE_KARGS } from './common.ts';
import type { VmProfile } from './profile.ts';

/** Arm's virtual machine. No UEFI: QEMU >= 8 unpacks EFI zboot kernels itself. */
export const aarch64: VmProfile = {
  arch: 'aarch64',
  qemu: {
    binary: 'qemu-system-aarch64',
    debian: 'qemu-system-arm',
    fedora: 'qemu-system-aarch64-core',
    minimumMajor: 8,
  },
  // `max` is the host's interrupt controller under KVM and GICv3 or v4 under TCG.
  machine: { kvm: 'virt,gic-version=max', tcg: 'virt,gic-version=max' },
  // Pointer authentication signs and checks each return address, and its keys change with each system call;
  // vectors of variable length and the performance counters make switching between user and kernel slower.
  // Without them unpacking is much faster under TCG.
  cpu: { kvm: 'host', tcg: 'max,pauth=off,sve=off,pmu=off' },
  consoleKarg: 'console=ttyAMA0,115200n8',
  devices: { disk: 'virtio-blk-pci', rng: 'virtio-rng-pci' },
  memoryMiB: 3072,
  vcpus: { kvm: 2, tcg: 1 },
  kargs: { kvm: LIVE_KARGS, tcg: LIVE_KARGS },
  // Each of the SHA-2 instructions (OPENSSL_armcap(3ssl)) is a call under TCG, so OpenSSL hashes faster
  // without them.
  installerEnv: { tcg: { OPENSSL_armcap: '0' } },
  seconds: {
    kvm: KVM_SECONDS,
    tcg: { firstOutput: 90, boot: 300, inactivity: 180 },
  },
};
