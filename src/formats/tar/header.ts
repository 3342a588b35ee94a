/** One 512-byte header of a tar: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar's "Basic Tar Format". */
export const BLOCK = 512;

const NAME = { at: 0, length: 100 };
const SIZE = { at: 124, length: 12 };
const CHECKSUM = { at: 148, length: 8 };
const TYPE = 156;
const LINK = { at: 157, length: 100 };
const MAGIC = 257;
const PREFIX = { at: 345, length: 155 };
/** `isextended` of an old GNU sparse header. */
const GNU_EXTENDED = 482;

interface Field {
  readonly at: number;
  readonly length: number;
}

/** The decoded fields; names are the archive's bytes, one character each. */
export interface TarHeader {
  readonly name: string;
  readonly link: string;
  /** The type flag; `0` where it is missing, as in archives older than ustar. */
  readonly type: string;
  /** Bytes. */
  readonly size: number;
  /** Whether blocks that continue a GNU sparse map follow. */
  readonly extended: boolean;
}

/** Throws Error, to whose message callers add the offset. */
export function decodeHeader(block: Buffer): TarHeader {
  checkSum(block);
  const type = String.fromCharCode(block[TYPE] || 0x30);
  const name = text(block, NAME);
  // GNU tar ends the magic with blanks and has other fields in place of POSIX's prefix.
  const posix = block.toString('latin1', MAGIC, MAGIC + 6) === 'ustar\0';
  const prefix = posix ? text(block, PREFIX) : '';
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    link: text(block, LINK),
    type,
    size: number(block, SIZE),
    extended: type === 'S' && block[GNU_EXTENDED] !== 0,
  };
}

function text(block: Buffer, { at, length }: Field): string {
  const end = block.indexOf(0, at);
  return block.toString('latin1', at, end === -1 || end > at + length ? at + length : end);
}

/** The sum of all bytes, with those of the checksum itself counted as blanks. */
function checkSum(block: Buffer): void {
  let sum = CHECKSUM.length * 0x20;
  for (let i = 0; i < CHECKSUM.at; i++) sum += block[i] ?? 0;
  for (let i = CHECKSUM.at + CHECKSUM.length; i < BLOCK; i++) sum += block[i] ?? 0;
  if (sum !== number(block, CHECKSUM)) throw new Error('a wrong checksum');
}

/** Octal digits up to a blank or NUL; or GNU's base 256, marked by the first bit. */
function number(block: Buffer, { at, length }: Field): number {
  const field = block.subarray(at, at + length);
  let value: number;
  if (field[0] === 0x80) {
    value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
  } else {
    const digits = /^[ \0]*([0-7]*)[\0 ]*$/.exec(field.toString('latin1'))?.[1];
    value = digits === undefined ? Number.NaN : Number.parseInt(digits || '0', 8);
  }
  if (Number.isSafeInteger(value)) return value;
  throw new Error('a malformed number');
}
