import { badLzma, decodeProperties, LzmaDecoder } from './lzma.ts';
import type { Window } from './window.ts';

/** Reads exactly that many bytes of the stream, or throws. Valid until the next call. */
export type Take = (length: number) => Uint8Array;

// The control byte of a chunk; xz's doc/xz-file-format.txt has the filter, xz-embedded the bytes.
const END = 0x00;
const COPY_RESET = 0x01;
const COPY = 0x02;
const LZMA = 0x80;
/** Bits 5 and 6 of an LZMA chunk's control: what it resets. */
const RESET_STATE = 1;
const RESET_PROPERTIES = 2;
const RESET_DICTIONARY = 3;

/**
 * Decodes LZMA2 chunks up to the end mark into `window`. `pause` is called between chunks (2 MiB of
 * output at most) and may throw. Throws FormatError `XZ_BAD`.
 */
export function decodeLzma2(take: Take, window: Window, pause: () => void): void {
  const lzma = new LzmaDecoder(window);
  let needs = RESET_DICTIONARY;
  for (;;) {
    pause();
    const control = take(1)[0] ?? 0;
    if (control === END) return;
    if (control < LZMA) {
      if (control !== COPY_RESET && control !== COPY) throw badLzma(`control byte ${control}`);
      if (control === COPY_RESET) {
        window.reset();
        lzma.resetPosition();
        needs = RESET_PROPERTIES;
      } else if (needs === RESET_DICTIONARY) {
        throw badLzma('the first chunk does not reset the dictionary');
      }
      const length = u16(take(2), 0) + 1;
      window.copy(take(length));
      lzma.skip(length);
      continue;
    }
    const reset = (control >>> 5) & 3;
    if (reset < needs) throw badLzma('a chunk relies on state that was never set');
    const sizes = take(4);
    const unpacked = (((control & 0x1f) << 16) | u16(sizes, 0)) + 1;
    const packed = u16(sizes, 2) + 1;
    if (reset === RESET_DICTIONARY) {
      window.reset();
      lzma.resetPosition();
    }
    if (reset >= RESET_PROPERTIES) lzma.setProperties(decodeProperties(take(1)[0] ?? 0));
    else if (reset === RESET_STATE) lzma.resetState();
    needs = 0;
    lzma.chunk(take(packed), unpacked);
  }
}

const u16 = (bytes: Uint8Array, at: number) => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
