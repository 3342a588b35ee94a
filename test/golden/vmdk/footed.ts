import { loadDeflate } from '../../../src/codec/deflate/deflater.ts';
import { DEFAULT_PARAMS, type DeflateParams } from '../../../src/codec/deflate/params.ts';

const SECTOR = 512;
const GTES = 512;
const MARKER_GRAIN_TABLE = 1;
const MARKER_GRAIN_DIRECTORY = 2;
const MARKER_FOOTER = 3;
const MARKER_END_OF_STREAM = 0;

/**
 * Writes a streamOptimized VMDK as VMware's own tools do, in a form that qemu-img reads but does not write: grains
 * first, then each table and the directory after their markers, a footer, and an end-of-stream marker
 * ("VMware Virtual Disk Format 1.1", Stream-Optimized Compressed Sparse Extents).
 */
export async function writeFootedVmdk(
  raw: Buffer,
  order: 'ascending' | 'descending' | 'shuffled',
  more: Partial<DeflateParams> = {},
  grainSectors = 128,
): Promise<Buffer> {
  const grainBytes = grainSectors * SECTOR;
  const params = { ...DEFAULT_PARAMS, ...more };
  const deflater = await loadDeflate(params.implementation);
  const pieces: Buffer[] = [];
  let sector = 0;
  const put = (bytes: Buffer) => {
    const padded = Buffer.alloc(Math.ceil(bytes.length / SECTOR) * SECTOR);
    bytes.copy(padded);
    pieces.push(padded);
    const start = sector;
    sector += padded.length / SECTOR;
    return start;
  };
  const marker = (type: number, sectors: number) => {
    const bytes = Buffer.alloc(SECTOR);
    bytes.writeBigUInt64LE(BigInt(sectors), 0);
    bytes.writeUInt32LE(type, 12);
    put(bytes);
  };
  const header = (directory: bigint) => {
    const bytes = Buffer.alloc(SECTOR);
    bytes.write('KDMV', 'latin1');
    bytes.writeUInt32LE(3, 4);
    bytes.writeUInt32LE(0x30001, 8);
    bytes.writeBigUInt64LE(BigInt(raw.length / SECTOR), 12);
    bytes.writeBigUInt64LE(BigInt(grainSectors), 20);
    bytes.writeBigUInt64LE(1n, 28);
    bytes.writeBigUInt64LE(1n, 36);
    bytes.writeUInt32LE(GTES, 44);
    bytes.writeBigUInt64LE(directory, 56);
    bytes.writeBigUInt64LE(2n, 64);
    bytes.write('\n \r\n', 73, 'latin1');
    bytes.writeUInt16LE(1, 77);
    return bytes;
  };

  put(header(0xffff_ffff_ffff_ffffn));
  put(
    Buffer.from(
      '# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="streamOptimized"\n',
    ),
  );
  const grains = Math.ceil(raw.length / grainBytes);
  const tables = Math.ceil(grains / GTES);
  const entries = Buffer.alloc(tables * GTES * 4);
  for (const grain of numbersIn(order, grains)) {
    const bytes = raw.subarray(grain * grainBytes, (grain + 1) * grainBytes);
    if (bytes.every((byte) => byte === 0)) continue;
    const data = deflater.compress(bytes, params);
    const head = Buffer.alloc(12);
    head.writeBigUInt64LE(BigInt(grain * grainSectors), 0);
    head.writeUInt32LE(data.length, 8);
    entries.writeUInt32LE(put(Buffer.concat([head, data])), grain * 4);
  }
  const directory = Buffer.alloc(tables * 4);
  for (let table = 0; table < tables; table++) {
    marker(MARKER_GRAIN_TABLE, (GTES * 4) / SECTOR);
    const start = put(entries.subarray(table * GTES * 4, (table + 1) * GTES * 4));
    directory.writeUInt32LE(start, table * 4);
  }
  marker(MARKER_GRAIN_DIRECTORY, Math.ceil(directory.length / SECTOR));
  const at = put(directory);
  marker(MARKER_FOOTER, 1);
  put(header(BigInt(at)));
  marker(MARKER_END_OF_STREAM, 0);
  return Buffer.concat(pieces);
}

/** Shuffles grains as threads that take them in turn would, each within 16 of its place. */
function numbersIn(order: 'ascending' | 'descending' | 'shuffled', grains: number): number[] {
  const numbers = Array.from({ length: grains }, (_, i) => i);
  if (order === 'descending') return numbers.reverse();
  if (order === 'ascending') return numbers;
  return numbers.sort((a, b) => a + ((a * 7) % 16) - b - ((b * 7) % 16));
}
