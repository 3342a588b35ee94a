import { instantiate } from './module.ts';

/** Inflates small zlib streams (RFC 1950) or raw ones (RFC 1951) without leaving garbage. Inflating has one right answer. */
export interface Inflater {
  /** At most so many bytes of input, and of output. */
  readonly limit: number;
  /**
   * The contents of the stream at the start of `input`; `undefined` if it is damaged, not complete
   * or longer than `room` bytes. A view that is valid until the next call.
   */
  inflate(input: Uint8Array, room: number, format?: 'zlib' | 'raw'): Uint8Array | undefined;
}

const WINDOW_BITS = 15;

export async function loadInflate(): Promise<Inflater> {
  const wasm = await instantiate('zlib-1.3.2');
  const limit = wasm.bufferSize();
  return {
    limit,
    inflate(input, room, format = 'zlib') {
      if (input.length > limit) return undefined;
      new Uint8Array(wasm.memory.buffer, wasm.input(), input.length).set(input);
      const bits = format === 'raw' ? -WINDOW_BITS : WINDOW_BITS;
      const length = wasm.inflate?.(input.length, Math.min(room, limit), bits) ?? -1;
      if (length < 0) return undefined;
      return new Uint8Array(wasm.memory.buffer, wasm.output(), length);
    },
  };
}

let loaded: Promise<Inflater> | undefined;

/** This thread's own. */
export function sharedInflater(): Promise<Inflater> {
  loaded ??= loadInflate();
  return loaded;
}
