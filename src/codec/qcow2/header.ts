import { FormatError, UnsupportedError } from '../../core/errors.ts';

/** Fixed part of the header, QEMU docs/interop/qcow2.rst. All integers big endian. */
export interface Qcow2Header extends Geometry {
  /** Byte of the active L1 table, and its entries. */
  readonly l1Offset: number;
  readonly l1Entries: number;
}

export interface Geometry {
  /** Base-2 logarithm of the cluster size. */
  readonly clusterBits: number;
  /** Bytes of the disk. */
  readonly diskSize: number;
}

/** Version 3 has 104 bytes or more. */
export const HEADER_BYTES = 104;
const MAGIC = 0x514649fb; // "QFI\xfb"
/** 4 TiB in the usual clusters of 64 KiB: L1 stays under 64 KiB. */
const MAX_CLUSTERS = 1 << 26;
/** 2 MiB, the most that QEMU makes. */
const MAX_CLUSTER_BITS = 21;
/** Incompatible features by their bits: each changes the meaning of the rest. */
const FEATURES = ['dirty', 'corrupt', 'external data file', 'zstd compression', 'extended L2'];

export const isQcow2 = (head: Uint8Array): boolean =>
  head.length >= 4 && new DataView(head.buffer, head.byteOffset).getUint32(0) === MAGIC;

/** Throws FormatError for damage, UnsupportedError `QCOW2_KIND` for features that qemu-img convert never writes. */
export function decodeHeader(bytes: Uint8Array, name: string): Qcow2Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (view.getUint32(0) !== MAGIC) throw damaged(name, 'has no header');
  const version = view.getUint32(4);
  const features = version === 3 ? view.getBigUint64(72) : 0n;
  const odd = {
    version: version !== 2 && version !== 3,
    'backing file': view.getBigUint64(8) !== 0n,
    encryption: view.getUint32(32) !== 0,
    snapshots: view.getUint32(60) !== 0,
    [featureNames(features)]: features !== 0n,
  };
  const [first] = Object.entries(odd).filter(([, has]) => has);
  if (first) {
    throw new UnsupportedError(
      `${name} is a qcow2 of a kind that cannot be taken apart (${first[0]})`,
      {
        code: 'QCOW2_KIND',
        context: { file: name, version, features: `0x${features.toString(16)}` },
      },
    );
  }
  const header = {
    clusterBits: view.getUint32(20),
    diskSize: safe(view.getBigUint64(24), name),
    l1Entries: view.getUint32(36),
    l1Offset: safe(view.getBigUint64(40), name),
  };
  checkGeometry(header, name);
  if (header.l1Entries < tableCount(header)) throw damaged(name, 'has too short an L1 table');
  return header;
}

function featureNames(features: bigint): string {
  const names = FEATURES.filter((_, bit) => (features & (1n << BigInt(bit))) !== 0n);
  return names.join(', ') || 'incompatible features';
}

export const clusterBytes = ({ clusterBits }: Geometry) => 2 ** clusterBits;
export const clusterCount = (geometry: Geometry) =>
  Math.ceil(geometry.diskSize / clusterBytes(geometry));
/** Entries of an L2 table, which fills a cluster. */
export const tableEntries = (geometry: Geometry) => clusterBytes(geometry) / 8;
export const tableCount = (geometry: Geometry) =>
  Math.ceil(clusterCount(geometry) / tableEntries(geometry));

/** Throws FormatError `QCOW2_GEOMETRY` unless all tables are of reasonable size. */
export function checkGeometry(geometry: Geometry, name: string): void {
  const { clusterBits, diskSize } = geometry;
  const sound =
    clusterBits >= 9 &&
    clusterBits <= MAX_CLUSTER_BITS &&
    diskSize > 0 &&
    clusterCount(geometry) <= MAX_CLUSTERS;
  if (sound) return;
  throw new FormatError(`${name}: impossible qcow2 geometry`, {
    code: 'QCOW2_GEOMETRY',
    context: { file: name, clusterBits, diskSize },
  });
}

export function damaged(
  name: string,
  problem: string,
  context: Record<string, number> = {},
): FormatError {
  return new FormatError(`${name} ${problem}`, {
    code: 'QCOW2_DAMAGED',
    context: { file: name, ...context },
    hint: 'fetch the image again; this file is damaged',
  });
}

function safe(value: bigint, name: string): number {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw damaged(name, 'has a number over 2^53');
}
