import { FormatError, UnsupportedError } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import { printable } from '../../core/text/printable.ts';
import { type EndOfZip, findEnds } from './end.ts';

/** APPNOTE.TXT 6.3.10, 4.3.12: fixed parts, signatures and flags. */
const CENTRAL = 0x02014b50;
const CENTRAL_BYTES = 46;
const ENCRYPTED = 1 << 0;
const HAS_DESCRIPTOR = 1 << 3;
const ZIP64_EXTRA = 1;
const ABSENT_32 = 0xffff_ffff;
/** Limit of a directory, which is read at once; that of an image has one entry. */
const MAX_DIRECTORY = 16 << 20;
/** Unix mode bits in the upper half of the external attributes (4.4.15, hosts 3 and 19). */
const UNIX_HOSTS = [3, 19];
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;

/** 4.4.5. */
const METHODS: Readonly<Record<number, string>> = {
  1: 'shrink',
  6: 'implode',
  9: 'deflate64',
  12: 'bzip2',
  14: 'LZMA',
  93: 'zstd',
  95: 'xz',
  97: 'WavPack',
  98: 'PPMd',
  99: 'AES encryption',
};

export const STORED = 0;
export const DEFLATED = 8;

/** One file in a zip, from the central directory. */
export interface ZipEntry {
  readonly name: string;
  readonly rawName: Buffer;
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly compressedSize: number;
  readonly size: number;
  /** Offset of its local header in the file. */
  readonly start: number;
  /** Start of the directory, where the entry's data must have ended. */
  readonly limit: number;
  /** Neither a folder nor a link. */
  readonly regular: boolean;
}

export const hasDescriptor = ({ flags }: ZipEntry): boolean => (flags & HAS_DESCRIPTOR) !== 0;

/**
 * The one regular file of a zip, found by its central directory. Throws FormatError `COMPRESSED_DAMAGED`, or
 * UnsupportedError `ZIP_KIND` for a zip of several files or of an unsupported kind.
 */
export async function onlyEntry(source: Source): Promise<ZipEntry> {
  const ends = await findEnds(source);
  let problem: unknown = damagedZip(
    source.name,
    'that is cut short or has too much data after its end',
  );
  let entries: ZipEntry[] | undefined;
  for (const [index, end] of ends.entries()) {
    try {
      entries = await readDirectory(source, end);
      break;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      if (index === 0) problem = error;
    }
  }
  if (entries === undefined) throw problem;
  const files = entries.filter(({ regular }) => regular);
  const [only] = files;
  if (only === undefined || files.length > 1) {
    const names = files.slice(0, 5).map(({ name }) => printable(name));
    const more = files.length > names.length ? ', …' : '';
    throw zipKind(
      source.name,
      only ? `of ${files.length} files (${names.join(', ')}${more})` : 'without a regular file',
      'unpack the right file and put it into the folder instead',
    );
  }
  if (only.flags & ENCRYPTED) throw zipKind(source.name, 'that is encrypted');
  if (only.method !== STORED && only.method !== DEFLATED) {
    const method = METHODS[only.method] ?? `method ${only.method}`;
    throw zipKind(
      source.name,
      `compressed with ${method}; only deflate and stored files are supported`,
    );
  }
  return only;
}

/** APPNOTE.TXT 6.3.10, 4.3.7. */
const LOCAL_BYTES = 30;

/** Where the data of `entry` is: after its local header, which has its own lengths. */
export async function dataRange(
  source: Source,
  { start, compressedSize, limit }: ZipEntry,
): Promise<{ readonly start: number; readonly length: number }> {
  const local = Buffer.alloc(LOCAL_BYTES);
  if (start + LOCAL_BYTES <= limit) await source.read(local, start);
  const from = start + LOCAL_BYTES + local.readUInt16LE(26) + local.readUInt16LE(28);
  if (from + compressedSize > limit)
    throw damagedZip(source.name, 'whose file overlaps its directory');
  return { start: from, length: compressedSize };
}

async function readDirectory(source: Source, end: EndOfZip): Promise<ZipEntry[]> {
  const bad = (problem: string) => damagedZip(source.name, problem);
  if (end.length > MAX_DIRECTORY) throw bad(`whose directory has ${end.length} bytes`);
  const bytes = Buffer.alloc(end.length);
  await source.read(bytes, end.start);
  const entries: ZipEntry[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + CENTRAL_BYTES > bytes.length || bytes.readUInt32LE(at) !== CENTRAL) {
      throw bad('whose directory is damaged');
    }
    const [name, extra, comment] = [28, 30, 32].map((field) => bytes.readUInt16LE(at + field));
    const extraStart = at + CENTRAL_BYTES + (name ?? 0);
    const next = extraStart + (extra ?? 0) + (comment ?? 0);
    if (next > bytes.length) throw bad('whose directory is damaged');
    const fixed = bytes.subarray(at, at + CENTRAL_BYTES);
    const rawName = bytes.subarray(at + CENTRAL_BYTES, extraStart);
    const extras = bytes.subarray(extraStart, extraStart + (extra ?? 0));
    entries.push(decodeEntry(fixed, rawName, extras, end, bad));
    at = next;
  }
  if (entries.length !== end.entries)
    throw bad(`of ${entries.length} files instead of ${end.entries}`);
  return entries;
}

type Complaint = (problem: string) => FormatError;

function decodeEntry(
  fixed: Buffer,
  rawName: Buffer,
  extras: Buffer,
  end: EndOfZip,
  bad: Complaint,
): ZipEntry {
  let size = fixed.readUInt32LE(24);
  let compressedSize = fixed.readUInt32LE(20);
  let offset = fixed.readUInt32LE(42);
  // 4.5.3: the extra field has those of these that do not fit, in this order.
  const wide = zip64Extra(extras);
  let taken = 0;
  const widen = (narrow: number) => {
    if (narrow !== ABSENT_32 || wide === undefined) return narrow;
    if (taken + 8 > wide.length) throw bad('whose directory is damaged');
    taken += 8;
    return Number(wide.readBigUInt64LE(taken - 8));
  };
  size = widen(size);
  compressedSize = widen(compressedSize);
  offset = widen(offset);
  const start = end.prefix + offset;
  if (!(start + compressedSize <= end.start)) throw bad('whose files overlap its directory');
  const name = rawName.toString('utf8');
  return {
    name,
    rawName,
    flags: fixed.readUInt16LE(8),
    method: fixed.readUInt16LE(10),
    crc32: fixed.readUInt32LE(16),
    compressedSize,
    size,
    start,
    limit: end.start,
    regular: !name.endsWith('/') && hasContents(fixed),
  };
}

/** Files read from a pipe may be marked as pipes. */
function hasContents(fixed: Buffer): boolean {
  const type = (fixed.readUInt32LE(38) >>> 16) & S_IFMT;
  return !UNIX_HOSTS.includes(fixed[5] ?? 0) || (type !== S_IFDIR && type !== S_IFLNK);
}

function zip64Extra(extras: Buffer): Buffer | undefined {
  for (let at = 0; at + 4 <= extras.length; ) {
    const end = at + 4 + extras.readUInt16LE(at + 2);
    if (end > extras.length) return undefined;
    if (extras.readUInt16LE(at) === ZIP64_EXTRA) return extras.subarray(at + 4, end);
    at = end;
  }
  return undefined;
}

export function damagedZip(file: string, problem: string): FormatError {
  return new FormatError(`${file} is a zip ${problem}`, {
    code: 'COMPRESSED_DAMAGED',
    context: { file },
    hint: 'fetch the file again',
  });
}

const zipKind = (
  file: string,
  problem: string,
  hint = 'unpack it and put its file into the folder instead',
) =>
  new UnsupportedError(`${file} is a zip ${problem}`, {
    code: 'ZIP_KIND',
    context: { file },
    hint,
  });
