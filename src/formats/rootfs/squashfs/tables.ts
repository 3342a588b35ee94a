import { FormatError } from '../../../core/errors.ts';
import type { Source } from '../../../core/io/source.ts';
import { WebAssembly } from '../../../core/wasm/api.ts';
import type { IsoExtent } from '../../iso/live-iso.ts';
import { type Codec, decompress } from '../decompress.ts';
import { badSquashfs } from './bad.ts';
import { instantiate, type SquashfsExports } from './module.ts';

/** A regular file, from its inode. */
export interface FileNode {
  /** Bytes. */
  readonly size: number;
  /** Offset of its first data block in the image. */
  readonly start: number;
  /** Number of data blocks, without a tail in a fragment block. */
  readonly blocks: number;
  /** Location of its tail; undefined if the tail is a data block. */
  readonly fragment: { readonly index: number; readonly offset: number } | undefined;
  /** The size field of a data block. */
  block(index: number): number;
}

/** The tables of an image. Their values are untrusted: the code that uses them checks them. */
export interface Tables {
  /** The node at an absolute path without leading slash. */
  find(path: string): FileNode | 'folder' | undefined;
  /** All regular files, with their paths without leading slash. */
  files(): Generator<{ readonly path: string; readonly node: FileNode }>;
  /** Offset in the image and size field of a fragment block; undefined if there is none. */
  fragment(index: number): { readonly offset: number; readonly field: number } | undefined;
}

const END = -1;
const FILE = 1;
const FOLDER = 2;
const NO_FRAGMENT = 0xffffffff;
/** A metadata block unpacks to this many bytes; only the last of a table to fewer. */
const METADATA_SIZE = 8192;
/** More than the number of tables. */
const MAX_SHORT = 8;
/** 64 MiB unpacked, more than the names that fit in the module's memory. */
const MAX_METADATA = 8192;
/** Doubles of the answer: size, start, blocks, fragment, offset in it, number of the node. */
const ANSWER = 6;

/**
 * Reads the tables of the squashfs at `extent`, whose metadata is compressed by `codec`.
 *
 * @throws FormatError `SQUASHFS_BAD`; its offset is the last read position.
 */
export function openTables(source: Source, extent: IsoExtent, codec: Codec): Tables {
  let at = 0;
  let metadata = 0;
  let short = 0;
  // Without this, an image of nearly empty blocks takes minutes.
  function count({ length }: Uint8Array): void {
    if (length < METADATA_SIZE) short++;
    if (++metadata > MAX_METADATA || short > MAX_SHORT) {
      throw badSquashfs('more metadata than any image has', at);
    }
  }
  const wasm = instantiate({
    read(to, offset) {
      at = offset;
      source.readSync(to, extent.offset + offset);
    },
    unpack(stored, limit) {
      const unpacked = unpackMetadata(codec, stored, limit, at);
      count(unpacked);
      return unpacked;
    },
  });
  if (
    trapped(
      () => wasm.open(extent.length),
      () => at,
    ) !== 0
  ) {
    throw badSquashfs('its tables are out of order', at);
  }
  // The memory does not grow any more, so one view of each is enough.
  const { buffer } = wasm.memory;
  const path = Buffer.from(buffer, wasm.path(), wasm.max_path());
  const answer = numbersOf(new DataView(buffer, wasm.answer_at(), ANSWER * 8));
  return {
    find(name) {
      const absolute = `/${name}`;
      if (Buffer.byteLength(absolute) > path.length) return undefined;
      const kind = trapped(
        () => wasm.find(path.write(absolute)),
        () => at,
      );
      return kind === FILE ? fileNode(wasm, answer) : kind === FOLDER ? 'folder' : undefined;
    },
    *files() {
      for (let index = 0; ; index++) {
        const kind = wasm.node(index);
        if (kind === END) return;
        if (kind !== FILE) continue;
        const name = path.toString('latin1', 0, wasm.length());
        yield { path: name.replace(/^\/+/, ''), node: fileNode(wasm, answer) };
      }
    },
    fragment(index) {
      const field = wasm.fragment(index);
      return field === 0 ? undefined : { offset: answer(1), field };
    },
  };
}

function unpackMetadata(codec: Codec, stored: Uint8Array, limit: number, at: number): Uint8Array {
  try {
    return decompress(codec, stored, limit);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw badSquashfs(`metadata: ${error.message}`, at, error);
  }
}

/** If the module exceeds a bound (an index, the stack or its memory), the image is at fault. */
function trapped<T>(run: () => T, at: () => number): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError || error instanceof RangeError)) throw error;
    throw badSquashfs('its tables contradict each other, or are larger than any', at(), error);
  }
}

/** WebAssembly's memory is little endian on every host, a typed array only where the host is. */
const numbersOf = (view: DataView) => (index: number) => view.getFloat64(index * 8, true);

function fileNode(wasm: SquashfsExports, answer: (index: number) => number): FileNode {
  const index = answer(3);
  const node = answer(5);
  return {
    size: answer(0),
    start: answer(1),
    blocks: answer(2),
    fragment: index === NO_FRAGMENT ? undefined : { index, offset: answer(4) },
    block: (block) => wasm.block(node, block),
  };
}
