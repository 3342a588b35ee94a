/** Resources for recognising and encoding. */
export interface ReleasedContext {
  readonly signal?: AbortSignal | undefined;
  /** Threads; one per processor by default. Never affects a result. */
  readonly threads?: number | undefined;
  /** Blocks compressed earlier in this run; if absent, each is compressed again. */
  readonly blocks?: BlockMemo | undefined;
}

/** Compressed blocks, by their contents. Reading or writing it never fails: a lost block is compressed again. */
export interface BlockMemo {
  get(key: string): Promise<Uint8Array | undefined>;
  put(key: string, bytes: Uint8Array): Promise<void>;
}
