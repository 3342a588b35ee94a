import { FormatError, throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import { isZero } from '../../core/io/zero.ts';

/** The fixed header of a newc member; Linux Documentation/driver-api/early-userspace/buffer-format. */
export interface CpioHeader {
  readonly ino: number;
  /** POSIX `st_mode`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  /** Bytes of data. */
  readonly size: number;
  /** Bytes of the name field, its terminating NUL and padding included. */
  readonly nameSize: number;
  /** Sum of the data's bytes for magic 070702, else 0. Not verified: members are not read. */
  readonly check: number;
}

/** A member of an archive. Its name is data: pass it through {@link safeMemberPath} before use. */
export interface CpioMember extends CpioHeader {
  readonly name: string;
  /** Offsets in the source, bytes. */
  readonly headerOffset: number;
  readonly offset: number;
  /** Counts concatenated archives from 0. */
  readonly archive: number;
}

export interface CpioOptions {
  /** Range of the source that holds the archives; all of it by default. */
  readonly start?: number;
  readonly end?: number;
  readonly signal?: AbortSignal | undefined;
  /** What the range is, for messages; the source's name by default. */
  readonly name?: string;
}

export const CPIO_HEADER_SIZE = 110;
/** PATH_MAX, as the kernel's unpacker has it. */
const MAX_NAME_SIZE = 4096;
const MAX_MEMBERS = 100_000;
const TRAILER = 'TRAILER!!!';
const ZERO_BLOCK = 64 << 10;
const FIELDS = 13;

const COMPRESSIONS: readonly (readonly [string, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['lz4', [0x02, 0x21, 0x4c, 0x18]],
  ['bzip2', [0x42, 0x5a, 0x68]],
];

/** Decodes a 110-byte header. `offset` in `file` is where it lies, for messages. */
export function decodeCpioHeader(bytes: Uint8Array, offset = 0, file = 'cpio'): CpioHeader {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  if (!/^07070[12]/.test(text)) {
    const compression = COMPRESSIONS.find(([, magic]) => magic.every((b, i) => bytes[i] === b));
    if (compression) {
      throw new UnsupportedError(
        `${file}: a ${compression[0]}-compressed archive follows at offset ${offset}`,
        {
          code: 'CPIO_COMPRESSED',
          context: { file, offset, compression: compression[0] },
          hint: 'only uncompressed newc archives can be read in place',
        },
      );
    }
    throw malformed(file, offset, 'no newc magic');
  }
  const fields = text.slice(6, CPIO_HEADER_SIZE);
  if (fields.length !== FIELDS * 8 || !/^[0-9A-Fa-f]+$/.test(fields)) {
    throw malformed(file, offset, 'header fields are not hexadecimal digits');
  }
  const field = (index: number): number =>
    Number.parseInt(fields.slice(index * 8, index * 8 + 8), 16);
  return {
    ino: field(0),
    mode: field(1),
    uid: field(2),
    gid: field(3),
    nlink: field(4),
    mtime: field(5),
    size: field(6),
    nameSize: field(11),
    check: field(12),
  };
}

/** Encodes header and name, padded: the data follows. The inverse of the decoder. */
export function encodeCpioHeader(name: string, header: Partial<CpioHeader>): Buffer {
  const nameBytes = Buffer.from(`${name}\0`);
  const fields = [
    header.ino ?? 0,
    header.mode ?? 0o100644,
    header.uid ?? 0,
    header.gid ?? 0,
    header.nlink ?? 1,
    header.mtime ?? 0,
    header.size ?? 0,
    ...[0, 0, 0, 0],
    nameBytes.length,
    header.check ?? 0,
  ];
  const hex = fields.map((value) => value.toString(16).toUpperCase().padStart(8, '0')).join('');
  const result = Buffer.alloc(align4(CPIO_HEADER_SIZE + nameBytes.length));
  result.write(`070701${hex}`, 'latin1');
  nameBytes.copy(result, CPIO_HEADER_SIZE);
  return result;
}

/**
 * Yields the members of one or more concatenated newc archives without reading their data. Zero padding
 * between and after archives is skipped, as in the kernel. A range of only zeros has no members.
 *
 * @throws FormatError `CPIO_BAD` with the offset of the fault, `CPIO_TRUNCATED`; UnsupportedError
 * `CPIO_COMPRESSED` where a compressed archive follows.
 */
export async function* cpioMembers(
  source: Source,
  options: CpioOptions = {},
): AsyncGenerator<CpioMember> {
  const start = options.start ?? 0;
  const end = Math.min(options.end ?? source.size, source.size);
  const name = options.name ?? source.name;
  let archive = 0;
  let members = 0;
  let position = await skipZeros(source, start, end, options.signal);
  while (position < end) {
    throwIfAborted(options.signal);
    const member = await readMember(source, position, end, archive, name);
    position = align4(member.offset - start + member.size) + start;
    if (member.name === TRAILER) {
      archive++;
      position = await skipZeros(source, position, end, options.signal);
      continue;
    }
    if (++members > MAX_MEMBERS)
      throw malformed(name, position, `more than ${MAX_MEMBERS} members`);
    yield member;
    if (position >= end) throw truncated(name, position, 'the archive has no trailer');
  }
}

async function readMember(
  source: Source,
  headerOffset: number,
  end: number,
  archive: number,
  file: string,
): Promise<CpioMember> {
  const bytes = new Uint8Array(Math.min(CPIO_HEADER_SIZE, end - headerOffset));
  await source.read(bytes, headerOffset);
  if (bytes.length < CPIO_HEADER_SIZE && '070701'.startsWith(magicOf(bytes))) {
    throw truncated(file, headerOffset, 'half a header');
  }
  const header = decodeCpioHeader(bytes, headerOffset, file);
  const { nameSize, size } = header;
  if (nameSize < 2 || nameSize > MAX_NAME_SIZE) {
    throw malformed(file, headerOffset, `name of ${nameSize} bytes`);
  }
  const nameOffset = headerOffset + CPIO_HEADER_SIZE;
  const offset = headerOffset + align4(CPIO_HEADER_SIZE + nameSize);
  if (nameOffset + nameSize > end) throw truncated(file, headerOffset, 'half a name');
  const field = new Uint8Array(nameSize);
  await source.read(field, nameOffset);
  const nul = field.indexOf(0);
  if (nul <= 0) throw malformed(file, headerOffset, 'name is empty or has no end');
  // dracut-cpio pads names with NULs so that the data starts on a file system block.
  const name = Buffer.from(field.buffer, 0, nul).toString('utf8');
  // The last member may lack its padding, but no byte of its data.
  if (size > 0 && offset + size > end) {
    throw truncated(
      file,
      headerOffset,
      `member ${JSON.stringify(name)} extends to ${offset + size}`,
    );
  }
  return { ...header, name, headerOffset, offset, archive };
}

/** Position of the next byte that is not zero, or `end`. Holes cost nothing. */
async function skipZeros(
  source: Source,
  from: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  let position = from;
  let block: Uint8Array | undefined;
  while (position < end) {
    throwIfAborted(signal);
    const data = source.nextData(position);
    if (data === undefined || data.start >= end) return end;
    position = Math.max(position, data.start);
    block ??= new Uint8Array(Math.min(ZERO_BLOCK, end - position));
    const chunk = block.subarray(0, Math.min(block.length, end - position));
    await source.read(chunk, position);
    if (!isZero(chunk)) return position + chunk.findIndex((byte) => byte !== 0);
    position += chunk.length;
  }
  return end;
}

/**
 * A member name as a relative path without `.` and empty parts.
 *
 * @throws FormatError `CPIO_TRAVERSAL` for absolute names, `..` parts and control characters.
 */
export function safeMemberPath(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (name.startsWith('/') || parts.includes('..') || parts.length === 0 || /\p{Cc}/u.test(name)) {
    throw new FormatError(`archive member ${JSON.stringify(name)} is not a safe relative path`, {
      code: 'CPIO_TRAVERSAL',
      context: { member: name },
      hint: 'do not use this file; no CoreOS release has such a member',
    });
  }
  return parts.join('/');
}

function magicOf(header: Uint8Array): string {
  return Buffer.from(header.subarray(0, 6)).toString('latin1');
}

function align4(length: number): number {
  return Math.ceil(length / 4) * 4;
}

function malformed(file: string, offset: number, what: string): FormatError {
  return new FormatError(`${file}: no newc cpio archive at offset ${offset}: ${what}`, {
    code: 'CPIO_BAD',
    context: { file, offset },
  });
}

function truncated(file: string, offset: number, what: string): FormatError {
  return new FormatError(`${file}: cpio archive is truncated at offset ${offset}: ${what}`, {
    code: 'CPIO_TRUNCATED',
    context: { file, offset },
    hint: 'fetch the file again and check its SHA-256',
  });
}
