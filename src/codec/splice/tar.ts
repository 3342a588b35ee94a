import { FormatError, throwIfAborted } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import { isZero } from '../../core/io/zero.ts';

/** A member's contents as the tar stores them, in bytes of the tar. */
export interface TarMember {
  readonly start: number;
  readonly length: number;
}

/** POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar's "Basic Tar Format". */
const BLOCK = 512;
const SIZE = { at: 124, length: 12 };
const CHECKSUM = { at: 148, length: 8 };
const TYPE = 156;
const GNU_EXTENDED = 482;
/** `isextended` of the blocks that continue a GNU sparse map. */
const GNU_EXTENDED_MORE = 504;
const MAX_MEMBERS = 1000;
const MAX_SPARSE_BLOCKS = 1 << 16;
/** A pax header is a few lines. */
const MAX_PAX = 1 << 16;

/** By its magic; the oldest format (v7) has none, but a check sum as all have. */
export function isTar(head: Uint8Array): boolean {
  if (Buffer.from(head.subarray(257, 262)).toString('latin1') === 'ustar') return true;
  if (head.length < BLOCK || head[0] === 0) return false;
  const header = Buffer.from(head.subarray(0, BLOCK));
  const field = header.toString('latin1', CHECKSUM.at, CHECKSUM.at + CHECKSUM.length);
  const digits = /^ *([0-7]+)[\0 ]+$/.exec(field)?.[1];
  return digits !== undefined && Number.parseInt(digits, 8) === sumOf(header);
}

/** Of a header, as if its own field held blanks. */
function sumOf(header: Uint8Array): number {
  let sum = 0;
  for (const [i, byte] of header.entries()) {
    sum += i >= CHECKSUM.at && i < CHECKSUM.at + CHECKSUM.length ? 0x20 : byte;
  }
  return sum;
}

/** All members that have contents. Throws FormatError `TAR` for a malformed archive. */
export async function readTar(source: Source, signal?: AbortSignal): Promise<TarMember[]> {
  const members: TarMember[] = [];
  const header = Buffer.alloc(BLOCK);
  let paxSize: number | undefined;
  let at = 0;
  while (at + BLOCK <= source.size) {
    throwIfAborted(signal);
    await source.read(header, at);
    if (isZero(header)) return members; // the end mark
    checkHeader(header, source, at);
    const type = String.fromCharCode(header[TYPE] ?? 0);
    let start = at + BLOCK;
    if (type === 'S' && header[GNU_EXTENDED]) start = await skipSparseMap(source, start);
    const length = paxSize ?? number(header, SIZE, source, at);
    paxSize = undefined;
    const end = start + length;
    if (end > source.size) throw damaged(source, at, 'a member past its end');
    if (type === 'x') paxSize = await readPaxSize(source, start, length);
    if (type === 'L' || type === 'K') {
      // GNU's long names precede the member that they belong to.
    } else if (length > 0 && (type === '0' || type === '\0' || type === 'S')) {
      if (members.length === MAX_MEMBERS) throw damaged(source, at, 'too many members');
      members.push({ start, length });
    }
    at = start + Math.ceil(length / BLOCK) * BLOCK;
  }
  // Some writers leave the end mark out, and the padding of the last member; tar reads that.
  if (members.length > 0 && at >= source.size) return members;
  throw damaged(source, source.size, 'no end mark');
}

function checkHeader(header: Buffer, source: Source, at: number): void {
  if (sumOf(header) !== number(header, CHECKSUM, source, at))
    throw damaged(source, at, 'a wrong checksum');
}

/** Octal digits up to a blank or NUL; or GNU's base 256, marked by the first bit. */
function number(
  header: Buffer,
  { at, length }: { readonly at: number; readonly length: number },
  source: Source,
  offset: number,
): number {
  const field = header.subarray(at, at + length);
  let value: number;
  if ((field[0] ?? 0) === 0x80) {
    value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
  } else {
    const digits = /^ *([0-7]+)[\0 ]*$/.exec(field.toString('latin1'))?.[1];
    value = digits === undefined ? Number.NaN : Number.parseInt(digits, 8);
  }
  if (Number.isSafeInteger(value)) return value;
  throw damaged(source, offset, 'a malformed number');
}

/** The map of an old GNU sparse file continues in extra blocks. */
async function skipSparseMap(source: Source, start: number): Promise<number> {
  const block = Buffer.alloc(BLOCK);
  for (let i = 0; i < MAX_SPARSE_BLOCKS; i++) {
    const at = start + i * BLOCK;
    if (at + BLOCK > source.size) break;
    await source.read(block, at);
    if (!block[GNU_EXTENDED_MORE]) return at + BLOCK;
  }
  throw damaged(source, start, 'an endless sparse map');
}

/** The `size` of a pax extended header: "%d %s=%s\n" records. */
async function readPaxSize(
  source: Source,
  start: number,
  length: number,
): Promise<number | undefined> {
  if (length > MAX_PAX) throw damaged(source, start, 'an oversized pax header');
  const text = Buffer.alloc(length);
  await source.read(text, start);
  let size: number | undefined;
  for (let at = 0; at < text.length; ) {
    const record = /^([0-9]{1,5}) /.exec(text.toString('latin1', at, at + 6));
    const end = at + Number(record?.[1] ?? Number.NaN);
    if (!(end > at + 3 && end <= text.length)) throw damaged(source, start, 'a bad pax header');
    const found = /^[0-9]+ size=([0-9]{1,15})\n$/.exec(text.toString('latin1', at, end));
    if (found) size = Number(found[1]);
    at = end;
  }
  return size;
}

function damaged(source: Source, offset: number, problem: string): FormatError {
  return new FormatError(`${source.name} is a tar with ${problem}`, {
    code: 'TAR',
    context: { file: source.name, offset },
  });
}
