/**
 * Recipes as data: how each CoreOS platform's image is wrapped, and which base it is made from.
 *
 * The containers follow coreos-assembler's `cmd-buildextend-*` and osbuild manifests. The table is
 * an expectation, not a promise: dehydrate looks at the bytes (see `containers.ts`) and records what
 * it finds, and a platform that is not listed here works through detection alone.
 */

/**
 * The outermost container of a target, i.e. of the released file without .xz/.gz/.zst.
 * `iso-file` is a file of the ISO itself (kernel, initramfs, rootfs), `bfb` an NVIDIA BlueField
 * boot stream, `opaque` any other bytes.
 */
export const CONTAINERS = [
  'raw',
  'qcow2',
  'vmdk',
  'vhd',
  'vhdx',
  'zip',
  'tar',
  'gzip',
  'iso',
  'iso-file',
  'bfb',
  'opaque',
] as const;
export type Container = (typeof CONTAINERS)[number];

/** The bases of deltas. `iso` is the live ISO, the others its regenerated disks. */
export const BASE_NAMES = ['iso', 'metal', 'metal4k'] as const;
export type BaseName = (typeof BASE_NAMES)[number];
/** The bases that an osmet of the ISO unpacks to: 512-byte and 4096-byte sectors. */
export type MetalVariant = Exclude<BaseName, 'iso'>;

export interface PlatformImage {
  readonly container: Container;
  /** Bases in order of preference; the first that the ISO offers is used. */
  readonly bases: readonly BaseName[];
  /** A remark on this image for people. */
  readonly note?: string;
}

const DISK = ['metal'] as const;

/** Platform → image. Formats that matter more than their platform are in {@link FORMATS}. */
export const PLATFORMS: Readonly<Record<string, PlatformImage>> = {
  aliyun: { container: 'qcow2', bases: DISK },
  applehv: { container: 'raw', bases: DISK },
  aws: { container: 'vmdk', bases: DISK },
  azure: { container: 'vhd', bases: DISK },
  azurestack: { container: 'vhd', bases: DISK },
  digitalocean: { container: 'qcow2', bases: DISK },
  exoscale: { container: 'qcow2', bases: DISK },
  gcp: { container: 'tar', bases: DISK, note: 'GNU tar with a sparse disk.raw' },
  hetzner: { container: 'raw', bases: DISK },
  hyperv: { container: 'vhdx', bases: DISK, note: 'released in a zip, as others are in xz' },
  ibmcloud: { container: 'qcow2', bases: DISK },
  kubevirt: { container: 'tar', bases: DISK, note: 'OCI archive with a qcow2 in its layer' },
  metal: { container: 'raw', bases: DISK },
  nutanix: { container: 'qcow2', bases: DISK, note: 'compressed clusters' },
  nvidiabluefield: { container: 'bfb', bases: ['iso'] },
  openstack: { container: 'qcow2', bases: DISK },
  oraclecloud: { container: 'qcow2', bases: DISK },
  powervs: { container: 'tar', bases: DISK, note: 'OVA with a raw disk' },
  proxmoxve: { container: 'qcow2', bases: DISK },
  qemu: { container: 'qcow2', bases: DISK },
  'qemu-secex': {
    container: 'qcow2',
    bases: DISK,
    note: 'encrypted with a key per build: cannot be small',
  },
  virtualbox: { container: 'tar', bases: DISK, note: 'OVA with a stream-optimized VMDK' },
  vmware: { container: 'tar', bases: DISK, note: 'OVA with a stream-optimized VMDK' },
  vultr: { container: 'raw', bases: DISK },
};

/** Formats (without compression) whose meaning does not depend on the platform. */
export const FORMATS: Readonly<Record<string, PlatformImage>> = {
  iso: { container: 'iso', bases: ['iso'] },
  pxe: { container: 'iso-file', bases: ['iso'] },
  '4k.raw': { container: 'raw', bases: ['metal4k', 'metal'] },
};

/** The expectation for a platform's format; undefined if it depends on the bytes. */
export function expectedImage(platform: string, plainFormat: string): PlatformImage | undefined {
  if (Object.hasOwn(FORMATS, plainFormat)) return FORMATS[plainFormat];
  return Object.hasOwn(PLATFORMS, platform) ? PLATFORMS[platform] : undefined;
}

/** The regenerated disk that is released as this format of a platform, as it is. */
export function metalVariantOf(platform: string, plainFormat: string): MetalVariant | undefined {
  if (platform !== 'metal') return undefined;
  if (plainFormat === 'raw') return 'metal';
  return plainFormat === '4k.raw' ? 'metal4k' : undefined;
}

/** The first available base of the preference list; an unknown platform prefers metal. */
export function chooseBase(
  image: PlatformImage | undefined,
  available: ReadonlySet<BaseName>,
): BaseName {
  return (image?.bases ?? DISK).find((base) => available.has(base)) ?? 'iso';
}
