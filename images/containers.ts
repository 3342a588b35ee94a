import type { Container } from './platforms.ts';

/** Bytes at the start of a file that {@link detectContainer} needs: an ISO is recognized at 32 KiB. */
export const HEAD_BYTES = 0x9000;
/** Bytes at the end that it needs: a fixed VHD is recognized only by its last sector. */
export const TAIL_BYTES = 512;

interface Magic {
  readonly container: Container;
  readonly at: number;
  readonly bytes: string;
}

/** Magic bytes at fixed offsets, the most specific first. Latin-1. */
const MAGICS: readonly Magic[] = [
  { container: 'qcow2', at: 0, bytes: 'QFI\xfb' }, // QEMU docs/interop/qcow2.rst
  { container: 'vmdk', at: 0, bytes: 'KDMV' }, // VMware Virtual Disk Format 1.1: SparseExtentHeader
  { container: 'vmdk', at: 0, bytes: '# Disk DescriptorFile' },
  { container: 'vhdx', at: 0, bytes: 'vhdxfile' }, // MS-VHDX 2.2.1
  { container: 'zip', at: 0, bytes: 'PK\x03\x04' }, // APPNOTE 4.3.7
  { container: 'gzip', at: 0, bytes: '\x1f\x8b\x08' }, // RFC 1952 2.3.1
  { container: 'bfb', at: 0, bytes: 'Bf\x02\x13' }, // BlueField boot stream image header
  { container: 'tar', at: 257, bytes: 'ustar' }, // POSIX and GNU alike
  { container: 'iso', at: 0x8001, bytes: 'CD001' }, // ECMA-119 8.1.2
  { container: 'raw', at: 512, bytes: 'EFI PART' }, // GPT, 512-byte sectors
  { container: 'raw', at: 4096, bytes: 'EFI PART' }, // GPT, 4096-byte sectors
];

/** Footer of a VHD, whose fixed form has no header: Virtual Hard Disk Image Format Specification. */
const VHD_FOOTER = 'conectix';
/** s390x disks carry no GPT but a zipl boot record or a plain MBR. */
const MBR_SIGNATURE = '\x55\xaa';

/**
 * The container format, judged by the bytes and not by the name. `head` is the first {@link HEAD_BYTES} and
 * `tail` the last {@link TAIL_BYTES} bytes of the file, either shorter if the file is.
 */
export function detectContainer(head: Uint8Array, tail: Uint8Array): Container {
  const start = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const end = Buffer.from(tail.buffer, tail.byteOffset, tail.byteLength);
  // A VHD is checked first: its fixed form begins like the raw disk that it holds.
  if (end.length === TAIL_BYTES && has(end, 0, VHD_FOOTER)) return 'vhd';
  const magic = MAGICS.find(({ at, bytes }) => has(start, at, bytes));
  if (magic) return magic.container;
  return has(start, 510, MBR_SIGNATURE) || has(start, 0, 'zIPL') ? 'raw' : 'opaque';
}

function has(buffer: Buffer, at: number, latin1: string): boolean {
  return buffer.toString('latin1', at, at + latin1.length) === latin1;
}
