import { FormatError } from '../../errors.ts';
import type { Source } from '../../io/source.ts';
import { type Codec, decompress } from '../decompress.ts';
import { badSquashfs } from './superblock.ts';

/** A metadata block unpacks to this many bytes; only the last of a table to fewer. */
const BLOCK_SIZE = 8192;
const STORED_AS_IS = 0x8000;
/** 32 MiB unpacked. The metadata of a real image has a few. */
const MAX_CACHED = 4096;

interface Block {
  readonly bytes: Buffer;
  /** Offset of the block behind it. */
  readonly next: number;
}

/** Metadata blocks of an image, unpacked once and kept. Offsets count from the start of the image. */
export interface Metadata {
  block(offset: number): Block;
  /** Reads on from a place in a table, across blocks. `end` is where the table ends. */
  cursor(block: number, offset: number, end: number): MetadataCursor;
}

export interface MetadataCursor {
  /** Exactly `length` bytes. Throws FormatError `SQUASHFS_BAD` where the table ends before. */
  take(length: number): Buffer;
}

/** `start` is where the image lies in the source. */
export function openMetadata(source: Source, start: number, codec: Codec, end: number): Metadata {
  const cache = new Map<number, Block>();

  function load(offset: number): Block {
    if (!(offset >= 0 && offset + 2 <= end)) throw badSquashfs('metadata is out of bounds', offset);
    const head = Buffer.alloc(2);
    source.readSync(head, start + offset);
    const header = head.readUInt16LE(0);
    const size = header & ~STORED_AS_IS;
    const next = offset + 2 + size;
    if (size === 0 || next > end) throw badSquashfs(`metadata block of ${size} bytes`, offset);
    const stored = Buffer.alloc(size);
    source.readSync(stored, start + offset + 2);
    try {
      const how = (header & STORED_AS_IS) === 0 ? codec : 'none';
      const bytes = decompress(how, stored, BLOCK_SIZE);
      return { bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), next };
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw badSquashfs(error.message, offset, error);
    }
  }

  function block(offset: number): Block {
    const known = cache.get(offset);
    if (known) return known;
    if (cache.size >= MAX_CACHED) cache.clear();
    const loading = load(offset);
    cache.set(offset, loading);
    return loading;
  }

  return {
    block,
    cursor(first, offset, limit) {
      let at = first;
      let within = offset;
      return {
        take(length) {
          const parts: Buffer[] = [];
          for (let left = length; left > 0; ) {
            if (at >= limit) throw badSquashfs('a table ends too early', at);
            const { bytes, next } = block(at);
            if (within >= bytes.length) {
              // Only a whole block has one behind it.
              if (bytes.length < BLOCK_SIZE || within > bytes.length) {
                throw badSquashfs(`offset ${within} in a block of ${bytes.length} bytes`, at);
              }
              at = next;
              within = 0;
              continue;
            }
            const part = bytes.subarray(within, within + left);
            parts.push(part);
            within += part.length;
            left -= part.length;
          }
          const [only] = parts;
          return parts.length === 1 && only ? only : Buffer.concat(parts);
        },
      };
    },
  };
}
