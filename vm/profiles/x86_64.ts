import { KVM_SECONDS, LIVE_KARGS } from './common.ts';
import type { VmProfile } from './profile.ts';

/** PC with PCI Express. Direct kernel boot goes through SeaBIOS's linuxboot ROM, no UEFI needed. */
export const x86_64: VmProfile = {
  arch: 'x86_64',
  qemu: {
    binary: 'qemu-system-x86_64',
    debian: 'qemu-system-x86',
    fedora: 'qemu-system-x86-core',
    minimumMajor: 6,
  },
  machine: { kvm: 'q35', tcg: 'q35' },
  // EL9 and later are built for x86-64-v2 and above, so QEMU's default model is not enough.
  // Under TCG `rep movsb` copies byte by byte, so the kernel must not think it fast (erms, fsrm); a
  // fifth page table level and the supervisor access checks only cost time here.
  cpu: { kvm: 'host', tcg: 'max,erms=off,fsrm=off,la57=off,smap=off,smep=off,pku=off' },
  consoleKarg: 'console=ttyS0,115200n8',
  devices: { disk: 'virtio-blk-pci', rng: 'virtio-rng-pci' },
  memoryMiB: 3072,
  vcpus: { kvm: 2, tcg: 1 },
  // TCG's time stamp counter is reliable, but the kernel cannot know that. For every time stamp it would
  // read the HPET, a device access behind QEMU's global lock.
  kargs: { kvm: LIVE_KARGS, tcg: [...LIVE_KARGS, 'tsc=reliable'] },
  seconds: {
    kvm: KVM_SECONDS,
    tcg: { firstOutput: 90, boot: 300, inactivity: 180 },
  },
};
