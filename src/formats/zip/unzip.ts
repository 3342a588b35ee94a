import { crc32, createInflateRaw } from 'node:zlib';
import { type Feed, feedOf } from '../compressed/feed.ts';
import { throughZlib } from '../compressed/zlib-stream.ts';
import { damagedZip, hasDescriptor, STORED, type ZipEntry } from './directory.ts';

/** APPNOTE.TXT 6.3.10, 4.3.7. */
const LOCAL = 0x04034b50;
const LOCAL_BYTES = 30;
/** Offsets in the local header of the fields that it shares with the directory. */
const CRC_AT = 14;
const COMPRESSED_AT = 18;
const SIZE_AT = 22;
const ABSENT_32 = 0xffff_ffff;

/**
 * The contents of `entry`, from the chunks of its whole zip, which is read to its end. Checks sizes and
 * CRC-32. Throws FormatError `COMPRESSED_DAMAGED` and what zlib throws.
 */
export async function* unzipEntry(
  chunks: AsyncIterable<Uint8Array>,
  entry: ZipEntry,
  path: string,
  chunkSize: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const bad = (problem: string) => damagedZip(path, problem);
  const feed = feedOf(chunks);
  await skip(feed, entry.start);
  const local = await exactly(feed, LOCAL_BYTES);
  if (local?.readUInt32LE(0) !== LOCAL) throw bad('without a file where its directory says');
  const nameLength = local.readUInt16LE(26);
  const rest = await exactly(feed, nameLength + local.readUInt16LE(28));
  if (!rest?.subarray(0, nameLength).equals(entry.rawName)) {
    throw bad('whose directory names another file');
  }
  const from = entry.start + LOCAL_BYTES + rest.length;
  if (from + entry.compressedSize > entry.limit) throw bad('whose file overlaps its directory');
  if (!agrees(local, entry)) throw bad('whose directory and file differ in size or check sum');

  const data = feedOf(atMost(feed, entry.compressedSize));
  const contents =
    entry.method === STORED ? all(data) : throughZlib(data, createInflateRaw({ chunkSize }));
  let size = 0;
  let crc = 0;
  for await (const chunk of contents) {
    size += chunk.length;
    if (size > entry.size) break;
    crc = crc32(chunk, crc);
    yield chunk;
  }
  if (size !== entry.size) throw bad('whose file does not have the size in its directory');
  // There may be space after the end of a deflate stream; size and CRC-32 prove that nothing is missing.
  for await (const _room of all(data));
  if (crc !== entry.crc32) throw bad('whose file does not have its CRC-32');
  for await (const _rest of all(feed));
}

/** If a descriptor follows the data, the header before it has no sizes. */
function agrees(local: Buffer, entry: ZipEntry): boolean {
  if (local.readUInt16LE(8) !== entry.method) return false;
  if (hasDescriptor(entry)) return true;
  const same = (at: number, value: number) => {
    const field = local.readUInt32LE(at);
    return field === value || (field === ABSENT_32 && at !== CRC_AT);
  };
  return (
    same(CRC_AT, entry.crc32) &&
    same(COMPRESSED_AT, entry.compressedSize) &&
    same(SIZE_AT, entry.size)
  );
}

async function* all(feed: Feed): AsyncGenerator<Uint8Array> {
  for (let chunk = await feed.take(); chunk !== undefined; chunk = await feed.take()) yield chunk;
}

/** The next `length` bytes, or fewer at the end. */
async function* atMost(feed: Feed, length: number): AsyncGenerator<Uint8Array> {
  for (let left = length; left > 0; ) {
    const chunk = await feed.take();
    if (chunk === undefined) return;
    const piece = chunk.subarray(0, left);
    feed.putBack(chunk.subarray(piece.length));
    left -= piece.length;
    yield piece;
  }
}

async function skip(feed: Feed, length: number): Promise<void> {
  for await (const _piece of atMost(feed, length));
}

async function exactly(feed: Feed, length: number): Promise<Buffer | undefined> {
  const pieces: Uint8Array[] = [];
  for await (const piece of atMost(feed, length)) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  return bytes.length === length ? bytes : undefined;
}
