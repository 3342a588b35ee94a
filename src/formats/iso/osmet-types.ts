import type { Sha256 } from '../../core/io/digest.ts';
/** `OsmetFileHeader` of coreos-installer `src/osmet/file.rs`. */
export interface OsmetHeader {
  readonly appVersion: string;
  readonly sectorSize: number;
  readonly description: string;
  /** `uname -m` of the machine that packed it. */
  readonly architecture: string;
}

/** Mapping i: `length[i]` bytes at `physical[i]` of the partition are `logical[i]…` of the object. */
export interface OsmetMappings {
  readonly count: number;
  /** Offset in the object, bytes. Past its end the disk has zeros. */
  readonly logical: Float64Array;
  /** Offset from the partition's start, bytes. Ascending, without overlap. */
  readonly physical: Float64Array;
  /** Bytes. */
  readonly length: Float64Array;
  /** 32 bytes of SHA-256 each: the name of the OSTree object. See {@link objectName}. */
  readonly objects: Uint8Array;
}

export interface OsmetPartition {
  /** Offsets on the disk, bytes. */
  readonly start: number;
  readonly end: number;
  readonly mappings: OsmetMappings;
}

/** A whole osmet file except its xz stream. */
export interface Osmet {
  readonly header: OsmetHeader;
  readonly partitions: readonly OsmetPartition[];
  /** SHA-256 of the disk, lower-case hex. */
  readonly checksum: Sha256;
  /** Size of the disk, bytes. */
  readonly size: number;
  readonly mappings: number;
  /** Bytes of the disk that are mapped to objects; the xz stream has the others. */
  readonly mappedBytes: number;
  /** Offset of the xz stream from the start of the osmet file, in bytes. It extends to the end. */
  readonly xzOffset: number;
}
