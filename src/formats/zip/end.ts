import type { Source } from '../../core/io/source.ts';

/** APPNOTE.TXT 6.3.10, 4.3.14 to 4.3.16; all little endian. */
const END = Buffer.from('PK\x05\x06', 'latin1');
const END_BYTES = 22;
const MAX_COMMENT = 0xffff;
const LOCATOR = 0x07064b50;
const LOCATOR_BYTES = 20;
const END64 = 0x06064b50;
const END64_BYTES = 56;
/** Limit of ends that are checked, because a comment can fake thousands. */
const MAX_ENDS = 4;

/** The description of the central directory at the end of a zip. */
export interface EndOfZip {
  readonly entries: number;
  /** Where the directory is in the file, and its length in bytes. */
  readonly start: number;
  readonly length: number;
  /** Bytes before the zip, which its offsets do not count. */
  readonly prefix: number;
}

/**
 * All possible ends of this zip, the likeliest first. The comment after the end may hold anything, even the
 * end of another zip, so an end with a comment that extends to the end of the file is preferred, and of those one that
 * implies no bytes before the zip. unzip also accepts bytes after the comment.
 */
export async function findEnds(source: Source): Promise<EndOfZip[]> {
  const from = Math.max(0, source.size - END_BYTES - MAX_COMMENT);
  const tail = Buffer.alloc(source.size - from);
  await source.read(tail, from);
  const found: (EndOfZip & { readonly behind: number })[] = [];
  for (
    let at = tail.lastIndexOf(END);
    at !== -1;
    at = at > 0 ? tail.lastIndexOf(END, at - 1) : -1
  ) {
    if (at + END_BYTES > tail.length) continue;
    const behind = tail.length - (at + END_BYTES + tail.readUInt16LE(at + 20));
    if (behind < 0) continue;
    const end = await readEnd(source, tail.subarray(at, at + END_BYTES), from + at);
    if (end) found.push({ ...end, behind });
  }
  const rank = ({ behind, prefix }: (typeof found)[number]) =>
    2 * Number(behind > 0) + Number(prefix > 0);
  found.sort((a, b) => rank(a) - rank(b));
  return found.slice(0, MAX_ENDS);
}

async function readEnd(source: Source, end: Buffer, at: number): Promise<EndOfZip | undefined> {
  const small = {
    disks: [end.readUInt16LE(4), end.readUInt16LE(6)],
    onDisk: end.readUInt16LE(8),
    entries: end.readUInt16LE(10),
    length: end.readUInt32LE(12),
    offset: end.readUInt32LE(16),
  };
  const big = await readEnd64(source, at);
  const { disks, onDisk, entries, length, offset, directoryEnd } = big ?? {
    ...small,
    directoryEnd: at,
  };
  const start = directoryEnd - length;
  const prefix = start - offset;
  if (disks.some((disk) => disk !== 0) || onDisk !== entries) return undefined;
  if (start < 0 || prefix < 0) return undefined;
  return { entries, start, length, prefix };
}

/** The end of a zip64, right before the locator (without extensible data, which is not used in practice). */
async function readEnd64(source: Source, at: number) {
  const both = Buffer.alloc(END64_BYTES + LOCATOR_BYTES);
  if (at < both.length) return undefined;
  await source.read(both, at - both.length);
  if (both.readUInt32LE(END64_BYTES) !== LOCATOR || both.readUInt32LE(0) !== END64)
    return undefined;
  const number = (position: number) => Number(both.readBigUInt64LE(position));
  return {
    disks: [both.readUInt32LE(16), both.readUInt32LE(20), both.readUInt32LE(END64_BYTES + 4)],
    onDisk: number(24),
    entries: number(32),
    length: number(40),
    offset: number(48),
    directoryEnd: at - both.length,
  };
}
