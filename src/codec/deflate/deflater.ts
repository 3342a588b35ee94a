import { UsageError } from '../../core/errors.ts';
import type { Implementation } from './implementations.ts';
import { type DeflateExports, instantiate } from './module.ts';
import { type DeflateParams, startArguments } from './params.ts';

const Z_NO_FLUSH = 0;
const Z_FINISH = 4;

/** One implementation, reusable, but not for two streams at a time. */
export interface Deflater {
  readonly implementation: Implementation;
  /**
   * Deflates `input` in one go, as zlib's `compress2()` and its kin do. `params.implementation` must
   * be this one's. The result may be a view of the module's memory: valid until the next call.
   */
  compress(input: Uint8Array, params: DeflateParams): Uint8Array;
  /** A stream on the same memory: it must end before the next call of either. */
  stream(params: DeflateParams): DeflateStream;
}

export async function loadDeflate(implementation: Implementation): Promise<Deflater> {
  const wasm = await instantiate(implementation);
  return {
    implementation,
    compress(input, params) {
      start(wasm, implementation, params);
      const pieces: Uint8Array[] = [];
      for (const piece of feed(wasm, input, { last: true })) {
        const size = wasm.bufferSize();
        if (input.length <= size && piece.length < size) return piece; // that was all of it
        pieces.push(Uint8Array.from(piece));
      }
      return Buffer.concat(pieces);
    },
    stream: (params) => startStream(wasm, implementation, params),
  };
}

/** A deflate stream of any length in constant memory. */
export interface DeflateStream {
  /** Output that is ready after `chunk`. Each piece is valid until the next one is requested. */
  push(chunk: Uint8Array): Generator<Uint8Array>;
  /** The rest. Ends the stream. */
  finish(): Generator<Uint8Array>;
}

/** A deflater with its own memory. */
export async function deflateStream(params: DeflateParams): Promise<DeflateStream> {
  return startStream(await instantiate(params.implementation), params.implementation, params);
}

function startStream(
  wasm: DeflateExports,
  implementation: Implementation,
  params: DeflateParams,
): DeflateStream {
  start(wasm, implementation, params);
  return {
    push: (chunk) => feed(wasm, chunk, { last: false }),
    finish: () => feed(wasm, new Uint8Array(0), { last: true }),
  };
}

function start(wasm: DeflateExports, implementation: Implementation, params: DeflateParams): void {
  const status = wasm.start(...startArguments(params));
  if (status !== 0 || params.implementation !== implementation) {
    throw new UsageError(`${implementation} does not take these parameters (zlib: ${status})`, {
      code: 'DEFLATE_PARAMS',
      context: { ...params },
    });
  }
}

function* feed(
  wasm: DeflateExports,
  input: Uint8Array,
  { last }: { readonly last: boolean },
): Generator<Uint8Array> {
  const size = wasm.bufferSize();
  for (let at = 0; ; ) {
    const length = Math.min(size, input.length - at);
    new Uint8Array(wasm.memory.buffer, wasm.input(), length).set(input.subarray(at, at + length));
    wasm.feed(length);
    at += length;
    const flush = last && at === input.length ? Z_FINISH : Z_NO_FLUSH;
    for (;;) {
      const made = wasm.step(flush);
      if (made < 0) throw new Error(`deflate failed (zlib: ${made})`);
      if (made > 0) yield new Uint8Array(wasm.memory.buffer, wasm.output(), made);
      if (made < size) break; // room was left: all input is used up
    }
    if (at === input.length) return;
  }
}
