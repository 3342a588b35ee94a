import type { Content, ContentList } from '../contents.ts';

/** A content, and the name of a file that has it: for people. */
export interface FoundContent extends Content {
  readonly path: string;
}

/** A base that is being put together. */
export interface Target {
  /** A sparse file of the base's size, all holes at first. */
  readonly base: string;
  /** A folder for work in progress, on the same file system. */
  readonly scratch: string;
  readonly list: ContentList;
  /** An Int32 for each content: whether it is there (see workers/messages.ts). */
  readonly states: SharedArrayBuffer;
}

export interface RunOptions {
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stored bytes that were read so far, of all there are. */
  readonly onBytes?: ((done: number, total: number) => void) | undefined;
}

/** Where contents can be had: each block or layer is unpacked once in every run. */
export interface ContentSource {
  /** For messages, e.g. `root.squashfs of fcos.iso`. */
  readonly name: string;
  /** Every content of its files, empty ones left out, in an order of its own that never changes. */
  survey(options: RunOptions): Promise<FoundContent[]>;
  /** Puts the contents that the base still lacks, and the source has, where they belong. */
  fill(target: Target, options: RunOptions): Promise<void>;
}
