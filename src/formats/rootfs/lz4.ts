const MIN_MATCH = 4;

/**
 * Decodes one raw LZ4 block (lz4's doc/lz4_Block_format.md) to at most `limit` bytes. For a part it
 * stops there; otherwise a block that holds more is an error. Throws Error, to which the caller adds the
 * offset.
 *
 * Own code, because blocks of a root image are raw, without the frame that npm packages expect.
 */
export function decodeLz4(
  block: Uint8Array,
  limit: number,
  extent: 'whole' | 'part' = 'whole',
): Uint8Array {
  const output = new Uint8Array(limit);
  let at = 0;
  let end = 0;
  const extended = (nibble: number): number => {
    let length = nibble;
    if (nibble < 15) return length;
    for (;;) {
      if (at >= block.length) throw new Error('a length is cut off');
      const byte = block[at++] ?? 0;
      length += byte;
      if (byte !== 255) return length;
    }
  };
  while (at < block.length) {
    const token = block[at++] ?? 0;
    const wanted = extended(token >>> 4);
    if (at + wanted > block.length) throw new Error('literals are cut off');
    const literals = Math.min(wanted, limit - end);
    if (literals < wanted && extent === 'whole') throw new Error(`more than ${limit} bytes`);
    output.set(block.subarray(at, at + literals), end);
    at += wanted;
    end += literals;
    if (at === block.length || end === limit) {
      if (at < block.length && extent === 'whole') throw new Error(`more than ${limit} bytes`);
      break; // the last sequence has no match
    }
    if (at + 2 > block.length) throw new Error('an offset is cut off');
    const distance = (block[at] ?? 0) | ((block[at + 1] ?? 0) << 8);
    at += 2;
    if (distance === 0 || distance > end) throw new Error('a match reaches beyond the start');
    const length = extended(token & 15) + MIN_MATCH;
    const copied = Math.min(length, limit - end);
    if (copied < length && extent === 'whole') throw new Error(`more than ${limit} bytes`);
    if (distance >= copied) {
      output.copyWithin(end, end - distance, end - distance + copied);
      end += copied;
    } else {
      for (const stop = end + copied; end < stop; end++) {
        output[end] = output[end - distance] ?? 0;
      }
    }
    if (extent === 'part' && end === limit) break;
  }
  return output.subarray(0, end);
}
