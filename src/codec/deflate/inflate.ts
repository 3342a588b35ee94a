import { inflateRawSync, inflateSync } from 'node:zlib';
import { instantiate } from './module.ts';

/** Inflates small zlib streams (RFC 1950) or raw ones (RFC 1951) without leaving garbage. Inflating has one right answer. */
export interface Inflater {
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
    inflate(input, room, format = 'zlib') {
      if (Math.max(input.length, room) > limit) return inflateLarge(input, room, format);
      new Uint8Array(wasm.memory.buffer, wasm.input(), input.length).set(input);
      const bits = format === 'raw' ? -WINDOW_BITS : WINDOW_BITS;
      const length = wasm.inflate?.(input.length, room, bits) ?? -1;
      if (length < 0) return undefined;
      return new Uint8Array(wasm.memory.buffer, wasm.output(), length);
    },
  };
}

/** Inflates data that does not fit into the module's buffers. */
function inflateLarge(
  input: Uint8Array,
  room: number,
  format: 'zlib' | 'raw',
): Uint8Array | undefined {
  try {
    return (format === 'raw' ? inflateRawSync : inflateSync)(input, { maxOutputLength: room });
  } catch {
    return undefined;
  }
}

let loaded: Promise<Inflater> | undefined;

/** This thread's own. */
export function sharedInflater(): Promise<Inflater> {
  loaded ??= loadInflate();
  return loaded;
}
