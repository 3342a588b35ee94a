import { FormatError, UnsupportedError } from '../../core/errors.ts';

/**
 * SparseExtentHeader of "VMware Virtual Disk Format 1.1", one sector, little endian. In a
 * streamOptimized file a second copy may follow all grains, as footer.
 */
export interface SparseExtentHeader {
  /** Disk size in sectors. */
  readonly capacity: number;
  /** Grain size in sectors. */
  readonly grainSectors: number;
  /** Entries of a grain table. */
  readonly gtesPerTable: number;
  /** Sector of the redundant grain directory, if there is one. */
  readonly redundantDirectory: number | undefined;
  /** Sector of the grain directory; `undefined`: the footer knows. */
  readonly directory: number | undefined;
}

export const SECTOR = 512;

const MAGIC = 0x564d444b; // "KDMV"
const FLAG_REDUNDANT_DIRECTORY = 1 << 1;
const FLAG_COMPRESSED = 1 << 16;
const FLAG_MARKERS = 1 << 17;
const COMPRESSION_DEFLATE = 1;
const DIRECTORY_AT_END = 0xffff_ffff_ffff_ffffn;

/** 8 TiB in the usual grains of 64 KiB. */
const MAX_GRAINS = 1 << 27;
/** 512 KiB: a grain, deflated or not, must fit into the deflater's buffer. */
export const MAX_GRAIN_SECTORS = 1024;
const MAX_GTES = 1 << 16;

/** Throws FormatError for damage, UnsupportedError `VMDK_KIND` for a VMDK of another kind. */
export function decodeHeader(sector: Uint8Array, name: string): SparseExtentHeader {
  const view = new DataView(sector.buffer, sector.byteOffset, SECTOR);
  if (view.getUint32(0, true) !== MAGIC) {
    throw new FormatError(`${name} has no VMDK sparse extent header`, {
      code: 'VMDK_MAGIC',
      context: { file: name },
    });
  }
  const version = view.getUint32(4, true);
  const flags = view.getUint32(8, true);
  const algorithm = view.getUint16(77, true);
  const wanted = FLAG_COMPRESSED | FLAG_MARKERS;
  if (
    version < 1 ||
    version > 3 ||
    (flags & wanted) !== wanted ||
    algorithm !== COMPRESSION_DEFLATE
  ) {
    throw new UnsupportedError(`${name} is a VMDK, but not a streamOptimized one`, {
      code: 'VMDK_KIND',
      context: { file: name, version, flags, algorithm },
    });
  }
  const capacity = number(view, 12, name, 'capacity');
  const grainSectors = number(view, 20, name, 'grain size');
  const gtesPerTable = view.getUint32(44, true);
  const directory = view.getBigUint64(56, true);
  checkGeometry({ capacity, grainSectors, gtesPerTable }, name);
  return {
    capacity,
    grainSectors,
    gtesPerTable,
    redundantDirectory:
      flags & FLAG_REDUNDANT_DIRECTORY ? number(view, 48, name, 'rgdOffset') : undefined,
    directory: directory === DIRECTORY_AT_END ? undefined : number(view, 56, name, 'gdOffset'),
  };
}

export type Geometry = Pick<SparseExtentHeader, 'capacity' | 'grainSectors' | 'gtesPerTable'>;

export const grainCount = ({ capacity, grainSectors }: Geometry) =>
  Math.ceil(capacity / grainSectors);

export const tableCount = (geometry: Geometry) =>
  Math.ceil(grainCount(geometry) / geometry.gtesPerTable);

/** Throws FormatError `VMDK_GEOMETRY` unless all tables are of reasonable size. */
export function checkGeometry(geometry: Geometry, name: string): void {
  const { capacity, grainSectors, gtesPerTable } = geometry;
  const sound =
    capacity > 0 &&
    isPowerOfTwo(grainSectors) &&
    grainSectors <= MAX_GRAIN_SECTORS &&
    gtesPerTable > 0 &&
    gtesPerTable <= MAX_GTES &&
    (gtesPerTable * 4) % SECTOR === 0 &&
    grainCount(geometry) <= MAX_GRAINS;
  if (!sound) {
    throw new FormatError(`${name}: impossible VMDK geometry`, {
      code: 'VMDK_GEOMETRY',
      context: { file: name, capacity, grainSectors, gtesPerTable },
    });
  }
}

const isPowerOfTwo = (n: number) => n > 0 && Number.isInteger(Math.log2(n));

function number(view: DataView, at: number, name: string, field: string): number {
  const value = Number(view.getBigUint64(at, true));
  if (!Number.isSafeInteger(value * SECTOR)) {
    throw new FormatError(`${name}: ${field} is out of range`, {
      code: 'VMDK_GEOMETRY',
      context: { file: name, field },
    });
  }
  return value;
}
