/** What recognising and encoding may use. */
export interface ReleasedContext {
  readonly signal?: AbortSignal | undefined;
  /** Threads; absent: one for each processor. Never affects a result. */
  readonly threads?: number | undefined;
  /** Blocks that were compressed before, in this run; absent: each is compressed anew. */
  readonly blocks?: BlockMemo | undefined;
}

/** Compressed blocks by what they were made of. Reading or writing it never fails: what is lost is made anew. */
export interface BlockMemo {
  get(key: string): Promise<Uint8Array | undefined>;
  put(key: string, bytes: Uint8Array): Promise<void>;
}
