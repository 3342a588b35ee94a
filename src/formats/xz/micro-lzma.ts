import { decodeProperties, LzmaDecoder } from './lzma.ts';
import { Window } from './window.ts';

/**
 * Decodes MicroLZMA, liblzma's format for erofs: LZMA without header, whose first byte is the inverted
 * properties in place of the zero that a range coder begins with. It must hold exactly `length` bytes
 * or, for a part, at least.
 */
export function decodeMicroLzma(
  stored: Uint8Array,
  length: number,
  extent: 'whole' | 'part' = 'whole',
): Uint8Array {
  const properties = decodeProperties(~(stored[0] ?? 0) & 0xff);
  const input = Uint8Array.from(stored);
  input[0] = 0;
  // The window holds the whole output, so there is no second copy.
  const window = new Window(Math.max(length, 1), { data() {}, zeros() {} });
  const lzma = new LzmaDecoder(window);
  lzma.setProperties(properties);
  lzma.chunk(input, length, extent);
  window.finish();
  return window.contents;
}
