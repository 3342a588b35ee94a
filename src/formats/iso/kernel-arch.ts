import type { Arch } from '../../core/arch.ts';
import type { Source } from '../../core/io/source.ts';
import type { IsoExtent } from './live-iso.ts';

/** Bytes of a kernel file that contain the marks; that of s390x is at 0x10008. */
const HEAD_SIZE = 0x10010;

const ELF_MACHINES: ReadonlyMap<number, Arch> = new Map([
  [21, 'ppc64le'],
  [22, 's390x'],
  [62, 'x86_64'],
  [183, 'aarch64'],
]);
const PE_MACHINES: ReadonlyMap<number, Arch> = new Map([
  [0x8664, 'x86_64'],
  [0xaa64, 'aarch64'],
]);

/** The architecture of a Linux kernel file by its headers; `undefined` if they do not show it. */
export function detectKernelArch(head: Uint8Array): Arch | undefined {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.length);
  const has = (at: number, text: string): boolean =>
    bytes.length >= at + text.length && bytes.toString('latin1', at, at + text.length) === text;

  if (has(0, '\x7fELF') && bytes.length >= 20) {
    const littleEndian = bytes[5] === 1;
    const machine = littleEndian ? bytes.readUInt16LE(18) : bytes.readUInt16BE(18);
    const arch = ELF_MACHINES.get(machine);
    return arch === 'ppc64le' && !littleEndian ? undefined : arch;
  }
  if (has(56, 'ARM\x64')) return 'aarch64'; // Documentation/arch/arm64/booting.rst
  if (has(0x202, 'HdrS')) return 'x86_64'; // Documentation/arch/x86/boot.rst
  if (has(0x10008, 'S390EP')) return 's390x'; // arch/s390/boot/head.S
  if (has(0, 'MZ') && bytes.length >= 0x40) {
    const pe = bytes.readUInt32LE(0x3c); // EFI zboot images are PE only
    if (has(pe, 'PE\0\0') && bytes.length >= pe + 6) {
      return PE_MACHINES.get(bytes.readUInt16LE(pe + 4));
    }
  }
  return undefined;
}

/** {@link detectKernelArch} of a file in an ISO. */
export async function readKernelArch(source: Source, kernel: IsoExtent): Promise<Arch | undefined> {
  const head = new Uint8Array(Math.min(HEAD_SIZE, kernel.length));
  await source.read(head, kernel.offset);
  return detectKernelArch(head);
}
