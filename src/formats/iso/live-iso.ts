import type { MetalVariant } from '../../../images/platforms.ts';
import type { Arch } from '../../core/arch.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import type { Osmet } from './osmet-types.ts';

/** A byte range of the ISO file that holds one whole file (CoreOS ISOs store files contiguously). */
export interface IsoExtent {
  /** Path inside the ISO, without a leading slash, e.g. `images/pxeboot/vmlinuz`. */
  readonly path: string;
  /** Offset in bytes from the start of the ISO file. */
  readonly offset: number;
  /** Length in bytes. */
  readonly length: number;
}

/** The header of an osmet file; see coreos-installer `src/osmet/{file,mod}.rs`. */
export interface OsmetEntry {
  /** Member name inside rootfs.img, e.g. `fedora-coreos-…-metal.x86_64.osmet`. */
  readonly name: string;
  readonly variant: MetalVariant;
  /** 512 or 4096, bytes. */
  readonly sectorSize: number;
  readonly description: string;
  /** `uname -m` of the machine that packed it; CoreOS spelling. */
  readonly arch: string;
  /** Version of the coreos-installer that packed it. */
  readonly appVersion: string;
  /** SHA-256 of the whole metal disk, lower-case hex. */
  readonly checksum: Sha256;
  /** Size of the metal disk, bytes. */
  readonly diskSize: number;
  /** Bytes of the disk that come from OSTree objects rather than from the xz stream. */
  readonly mappedBytes: number;
  readonly partitions: number;
  readonly mappings: number;
  /** The byte range of the osmet file in the ISO file. */
  readonly offset: number;
  readonly length: number;
  /** The decoded osmet; see `osmetOf`. */
  readonly contents?: Osmet;
}

/** Everything that the program needs to know about a CoreOS live ISO. Nothing here is trusted. */
export interface LiveIso {
  readonly path: string;
  readonly size: number;
  readonly volumeId: string;
  readonly arch: Arch;
  readonly kernel: IsoExtent;
  readonly initrd: IsoExtent;
  readonly rootfs: IsoExtent;
  /**
   * The ISO's own default kernel arguments, in one string; undefined if it has none. Only a boot needs
   * them.
   */
  readonly kargs: string | undefined;
  /** First member of rootfs.img: `root.squashfs` or `root.erofs`; where it lies in the ISO. */
  readonly rootImage: IsoExtent;
  readonly osmets: readonly OsmetEntry[];
}
