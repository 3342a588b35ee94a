import { KVM_SECONDS, LIVE_KARGS } from './common.ts';
import type { VmProfile } from './profile.ts';

/** IBM Z with virtio over channel I/O (ccw): no PCI, no serial port but SCLP's line console. */
export const s390x: VmProfile = {
  arch: 's390x',
  qemu: {
    binary: 'qemu-system-s390x',
    debian: 'qemu-system-s390x (Debian 12: qemu-system-misc)',
    fedora: 'qemu-system-s390x-core',
    minimumMajor: 6,
  },
  machine: { kvm: 's390-ccw-virtio', tcg: 's390-ccw-virtio' },
  cpu: { kvm: 'host', tcg: 'max' },
  consoleKarg: 'console=ttysclp0',
  devices: { disk: 'virtio-blk-ccw', rng: 'virtio-rng-ccw' },
  memoryMiB: 3072,
  vcpus: { kvm: 2, tcg: 1 },
  kargs: { kvm: LIVE_KARGS, tcg: LIVE_KARGS },
  seconds: {
    kvm: KVM_SECONDS,
    tcg: { firstOutput: 90, boot: 300, inactivity: 180 },
  },
};
