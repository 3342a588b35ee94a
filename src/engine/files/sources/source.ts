import type { Content, ContentList } from '../contents.ts';

/** A content, and the name of a file that has it, for messages. */
export interface FoundContent extends Content {
  readonly path: string;
}

/** A base that is being assembled. */
export interface Target {
  /** A sparse file of the base's size, all holes at first. */
  readonly base: string;
  /** A folder for work in progress, on the same file system. */
  readonly scratch: string;
  readonly list: ContentList;
  /** An Int32 for each content: its state (see workers/messages.ts). */
  readonly states: SharedArrayBuffer;
}

export interface RunOptions {
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stored bytes read so far, and their total. */
  readonly onBytes?: ((done: number, total: number) => void) | undefined;
}

/** A source of contents: each run unpacks every block or layer once. */
export interface ContentSource {
  /** For messages, e.g. `root.squashfs of fcos.iso`. */
  readonly name: string;
  /** Every nonempty content of its files, in a fixed order. */
  survey(options: RunOptions): Promise<FoundContent[]>;
  /** Writes the source's contents that the base still lacks to their places. */
  fill(target: Target, options: RunOptions): Promise<void>;
}
