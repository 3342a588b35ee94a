import { KVM_SECONDS, LIVE_KARGS } from './common.ts';
import type { VmProfile } from './profile.ts';

/** POWER's paravirtual server, little endian. SLOF firmware comes with QEMU. */
export const ppc64le: VmProfile = {
  arch: 'ppc64le',
  qemu: {
    binary: 'qemu-system-ppc64',
    debian: 'qemu-system-ppc',
    fedora: 'qemu-system-ppc-core',
    minimumMajor: 6,
  },
  // TCG has none of the cache-flushing facilities behind these capabilities and would warn about each.
  machine: {
    kvm: 'pseries',
    tcg: 'pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off',
  },
  // EL9 and later are built for POWER9.
  cpu: { kvm: 'host', tcg: 'power9' },
  consoleKarg: 'console=hvc0',
  devices: { disk: 'virtio-blk-pci', rng: 'virtio-rng-pci' },
  memoryMiB: 3072,
  vcpus: { kvm: 2, tcg: 1 },
  kargs: { kvm: LIVE_KARGS, tcg: LIVE_KARGS },
  // OpenSSL hashes by vector instructions (OPENSSL_ppccap(3ssl)), which are calls under TCG. Without them
  // it uses its much faster code for plain registers.
  installerEnv: { tcg: { OPENSSL_ppccap: '0' } },
  seconds: {
    kvm: KVM_SECONDS,
    // SLOF alone takes some seconds, and POWER is QEMU's slowest target.
    tcg: { firstOutput: 120, boot: 480, inactivity: 240 },
  },
};
