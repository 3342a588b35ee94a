import { varintReader, varintWriter } from '../../codec/varint.ts';
import { FormatError } from '../../core/errors.ts';
import type { Sha256 } from '../../core/io/digest.ts';

/** A content, identified by its SHA-256 and size. */
export interface Content {
  readonly sha256: Sha256;
  /** Bytes; never 0. */
  readonly size: number;
}

/**
 * The contents that the base `files` is the concatenation of, each padded with zeros to {@link PAGE}. Any
 * source with these contents gives the base: names, owners and layers do not matter.
 */
export interface ContentList {
  readonly count: number;
  /** Size of each in bytes, and its offset in the base. */
  readonly sizes: Float64Array;
  readonly offsets: Float64Array;
  /** Size of the base in bytes. */
  readonly baseSize: number;
  /** How many bytes of each SHA-256 are in the list. */
  readonly digestLength: number;
  readonly digests: Buffer;
}

/** File systems align files to this, so with the same alignment a run of files is one copy of the delta. */
export const PAGE = 4096;

const MAGIC = Buffer.from('contents');
/**
 * The shortest prefix of a SHA-256 that is kept. It only has to distinguish the contents of one release,
 * because the base has its own SHA-256. Digests do not compress, so whole ones would make the list several
 * times as large.
 */
const MIN_DIGEST = 8;
const MAX_DIGEST = 32;
const MAX_CONTENTS = 1_000_000;
const MAX_BASE = 2 ** 40;
/** Limit of the uncompressed list: whole digests of the maximum number of contents. */
export const MAX_LIST_BYTES = 64 << 20;

export const padded = (size: number): number => Math.ceil(size / PAGE) * PAGE;

/** Enough digits to distinguish all of `all`. */
export function digestLengthFor(all: Iterable<Content>): number {
  const known = [...new Set([...all].map(({ sha256, size }) => `${sha256} ${size}`))];
  for (let length = MIN_DIGEST; length < MAX_DIGEST; length++) {
    const short = known.map((text) => text.slice(0, 2 * length) + text.slice(2 * MAX_DIGEST));
    if (new Set(short).size === known.length) return length;
  }
  return MAX_DIGEST;
}

/** Magic, bytes per digest, count, all sizes, all digests; numbers are LEB128. */
export function encodeContents(contents: readonly Content[], digestLength: number): Uint8Array {
  const numbers = varintWriter();
  numbers.unsigned(digestLength);
  numbers.unsigned(contents.length);
  for (const { size } of contents) numbers.unsigned(size);
  const digests = contents.map(({ sha256 }) =>
    Buffer.from(sha256.slice(0, 2 * digestLength), 'hex'),
  );
  return Buffer.concat([MAGIC, numbers.bytes(), ...digests]);
}

/** Throws FormatError `CONTENTS_BAD` or `RECIPE_VARINT`. */
export function decodeContents(bytes: Buffer, name: string): ContentList {
  const bad = (what: string) =>
    new FormatError(`${name}: ${what}`, {
      code: 'CONTENTS_BAD',
      context: { list: name },
      hint: 'this list is damaged: pull or copy the bundle again',
    });
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw bad('not a list of contents');
  const numbers = varintReader(bytes.subarray(MAGIC.length), name);
  const digestLength = numbers.unsigned();
  const count = numbers.unsigned();
  if (digestLength < MIN_DIGEST || digestLength > MAX_DIGEST) throw bad('digests of a bad length');
  if (count > MAX_CONTENTS || count * (digestLength + 1) > bytes.length) {
    throw bad(`${count} contents`);
  }
  const sizes = new Float64Array(count);
  for (let i = 0; i < count; i++) sizes[i] = numbers.unsigned();
  const digests = bytes.subarray(bytes.length - count * digestLength);
  const list = listOf(sizes, digestLength, digests);
  const expected = encodedLength(list);
  if (expected !== bytes.length) throw bad(`${bytes.length} bytes instead of ${expected}`);
  if (sizes.includes(0) || list.baseSize > MAX_BASE) throw bad('a content of an impossible size');
  return list;
}

export function listOf(sizes: Float64Array, digestLength: number, digests: Buffer): ContentList {
  const offsets = new Float64Array(sizes.length);
  let baseSize = 0;
  for (const [index, size] of sizes.entries()) {
    offsets[index] = baseSize;
    baseSize += padded(size);
  }
  return { count: sizes.length, sizes, offsets, baseSize, digestLength, digests };
}

/** The list of the given contents. */
export function toList(contents: readonly Content[], digestLength: number): ContentList {
  return decodeContents(Buffer.from(encodeContents(contents, digestLength)), 'contents');
}

function encodedLength({ sizes, count, digestLength }: ContentList): number {
  const numbers = varintWriter();
  numbers.unsigned(digestLength);
  numbers.unsigned(count);
  for (const size of sizes) numbers.unsigned(size);
  return MAGIC.length + numbers.bytes().length + count * digestLength;
}

/** Finds contents in a list by their SHA-256. */
export interface ContentLookup {
  /** Whether any content of the list has this size. */
  hasSize(size: number): boolean;
  /** Index in the list; -1 if it lacks the content. */
  find(sha256: string, size: number): number;
}

export function lookupIn({ count, sizes, digestLength, digests }: ContentList): ContentLookup {
  const digits = 2 * digestLength;
  const indexes = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const digest = digests.toString('hex', i * digestLength, (i + 1) * digestLength);
    indexes.set(`${digest} ${sizes[i]}`, i);
  }
  const known = new Set(sizes);
  return {
    hasSize: (size) => known.has(size),
    find: (sha256, size) => indexes.get(`${sha256.slice(0, digits)} ${size}`) ?? -1,
  };
}
