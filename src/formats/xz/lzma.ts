import { FormatError } from '../../core/errors.ts';
import type { Window } from './window.ts';

/** The three parameters that an LZMA properties byte packs. */
export interface LzmaProperties {
  /** Bits of the previous byte that choose a literal's context. */
  readonly lc: number;
  /** Low bits of the position that choose a literal's context. */
  readonly lp: number;
  /** Low bits of the position that choose the other contexts. */
  readonly pb: number;
}

/** Decodes a properties byte; LZMA2 allows `lc + lp` up to 4 only. */
export function decodeProperties(byte: number): LzmaProperties {
  const lc = byte % 9;
  const lp = Math.floor(byte / 9) % 5;
  const pb = Math.floor(byte / 45);
  if (pb > 4 || lc + lp > 4) throw badLzma(`properties ${byte} are not allowed`);
  return { lc, lp, pb };
}

// Layout of the probabilities: one table, so that a decoder uses one array.
const STATES = 12;
const POSITIONS = 16;
const IS_MATCH = 0;
const IS_REP = IS_MATCH + STATES * POSITIONS;
const IS_REP_G0 = IS_REP + STATES;
const IS_REP_G1 = IS_REP_G0 + STATES;
const IS_REP_G2 = IS_REP_G1 + STATES;
const IS_REP0_LONG = IS_REP_G2 + STATES;
const POSITION_SLOT = IS_REP0_LONG + STATES * POSITIONS;
const POSITION_SPECIAL = POSITION_SLOT + 4 * 64;
const ALIGN = POSITION_SPECIAL + 128;
/** A length decoder: two choices, 16 low and 16 middle trees of 3 bits, a high one of 8. */
const LENGTH_LOW = 2;
const LENGTH_MIDDLE = LENGTH_LOW + POSITIONS * 8;
const LENGTH_HIGH = LENGTH_MIDDLE + POSITIONS * 8;
const LENGTH_SIZE = LENGTH_HIGH + 256;
const MATCH_LENGTH = ALIGN + 16;
const REP_LENGTH = MATCH_LENGTH + LENGTH_SIZE;
const LITERAL = REP_LENGTH + LENGTH_SIZE;
const LITERAL_SIZE = 0x300;

const EVEN = 1024;
const PROBABILITY_BITS = 11;
const MOVE_BITS = 5;
const MIN_MATCH = 2;
/** First state that follows a match. */
const AFTER_MATCH = 7;
const INT_MIN = -0x80000000;
/** State after a match and a long repeat; another long repeat leaves it. */
const AFTER_REPEATS = 11;
const MAX_MATCH = MIN_MATCH + 16 + 255;

/**
 * The bits of a repeat of {@link MAX_MATCH} bytes at the last distance, in state
 * {@link AFTER_REPEATS}: where the probability is (from bit 2), whether the position adds to that
 * (bit 1), and the bit itself (bit 0).
 */
const LONG_REPEAT = Int32Array.from([
  ...[(IS_MATCH + AFTER_REPEATS * POSITIONS) * 4 + 3, (IS_REP + AFTER_REPEATS) * 4 + 1],
  ...[(IS_REP_G0 + AFTER_REPEATS) * 4, (IS_REP0_LONG + AFTER_REPEATS * POSITIONS) * 4 + 3],
  ...[REP_LENGTH * 4 + 1, (REP_LENGTH + 1) * 4 + 1],
  ...[1, 3, 7, 15, 31, 63, 127, 255].map((node) => (REP_LENGTH + LENGTH_HIGH + node) * 4 + 1),
]);

/** Whether decoding this bit does not change the probability (of a zero), because it is at its limit. */
const isSettled = (probability: number, bit: number) =>
  bit === 0 ? 2048 - probability < 1 << MOVE_BITS : probability < 1 << MOVE_BITS;

/**
 * A decoder of LZMA2's LZMA chunks: the state is kept from one chunk to the next unless it is reset.
 * Optimized for streams of few symbols that expand to many bytes (see {@link Window}). Algorithm: Igor
 * Pavlov's LZMA specification (7-zip's lzma-specification.txt), public domain.
 */
export class LzmaDecoder {
  readonly #window: Window;
  #properties: LzmaProperties = { lc: 3, lp: 0, pb: 2 };
  #probabilities = new Uint16Array(0);
  #state = 0;
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;
  /** The position that contexts count from. */
  #position = 0;
  // The range coder; both are unsigned 32-bit numbers kept as signed ones.
  #range = 0;
  #code = 0;
  #input: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(window: Window) {
    this.#window = window;
  }

  setProperties(properties: LzmaProperties): void {
    this.#properties = properties;
    this.resetState();
  }

  resetState(): void {
    const { lc, lp } = this.#properties;
    const size = LITERAL + (LITERAL_SIZE << (lc + lp));
    if (this.#probabilities.length !== size) this.#probabilities = new Uint16Array(size);
    this.#probabilities.fill(EVEN);
    this.#state = 0;
    this.#rep0 = 0;
    this.#rep1 = 0;
    this.#rep2 = 0;
    this.#rep3 = 0;
  }

  /** The dictionary was reset: contexts count from here. */
  resetPosition(): void {
    this.#position = 0;
  }

  /** Counts bytes that bypassed the decoder, because its contexts depend on the position. */
  skip(length: number): void {
    this.#position += length;
  }

  /**
   * Decodes a chunk into `unpacked` bytes of output: all of it, or the first part. Throws FormatError
   * `XZ_BAD`.
   */
  chunk(input: Uint8Array, unpacked: number, extent: 'whole' | 'part' = 'whole'): void {
    this.#start(input);
    const probabilities = this.#probabilities;
    const positionMask = (1 << this.#properties.pb) - 1;
    for (let left = unpacked; left > 0; ) {
      left -= this.#longRepeats(left);
      if (left === 0) break;
      const position = this.#position & positionMask;
      const state = this.#state;
      let length = 1;
      if (this.#bit(probabilities, IS_MATCH + state * POSITIONS + position) === 0) {
        this.#literal(probabilities);
      } else {
        if (this.#bit(probabilities, IS_REP + state) === 0) {
          length = this.#match(probabilities, position);
        } else {
          length = this.#repeat(probabilities, position);
        }
        if (extent === 'part') length = Math.min(length, left);
        this.#emit(length, left);
      }
      if (this.#at > input.length) throw badLzma('a chunk ends too early');
      left -= length;
      this.#position = (this.#position + length) | 0;
    }
    if (extent === 'part') return;
    this.#normalize();
    if (this.#at !== input.length || this.#code !== 0)
      throw badLzma('a chunk does not end cleanly');
  }

  #emit(length: number, left: number): void {
    if (length > left) throw badLzma('a match goes beyond its chunk');
    if (!this.#window.match(this.#rep0 + 1, length)) {
      throw badLzma('a match reaches back beyond the start');
    }
  }

  /**
   * Decodes consecutive repeats of the longest length at the last distance, which is how gigabytes of zeros
   * are encoded. Each takes 14 nearly certain bits. The range coder is in local variables, and any other
   * symbol is left undecoded, with the probabilities of its bits unchanged. Returns the bytes of output.
   */
  #longRepeats(left: number): number {
    const state = AFTER_REPEATS;
    if (this.#state !== state) return 0;
    const probabilities = this.#probabilities;
    const input = this.#input;
    const path = LONG_REPEAT;
    const positionMask = (1 << this.#properties.pb) - 1;
    let done = 0;
    let range = this.#range;
    let code = this.#code;
    let at = this.#at;
    while (left - done >= MAX_MATCH) {
      const position = (this.#position + done) & positionMask;
      let r = range;
      let c = code;
      let a = at;
      let certain = true;
      for (let i = 0; i < path.length; i++) {
        const step = path[i] ?? 0;
        const bit = step & 1;
        const probability = probabilities[(step >> 2) + ((step & 2) === 0 ? 0 : position)] ?? 0;
        if (r >>> 24 === 0) {
          r <<= 8;
          c = (c << 8) | (input[a++] ?? 0);
        }
        const bound = Math.imul(r >>> PROBABILITY_BITS, probability);
        const found = (c ^ INT_MIN) < (bound ^ INT_MIN) ? 0 : 1;
        // Only probabilities that do not change: then nothing has to be restored.
        if (found !== bit || !isSettled(probability, bit)) {
          certain = false;
          break;
        }
        if (bit === 0) {
          r = bound;
        } else {
          r = (r - bound) | 0;
          c = (c - bound) | 0;
        }
      }
      if (!certain) break;
      range = r;
      code = c;
      at = a;
      done += MAX_MATCH;
    }
    if (done === 0) return 0;
    if (at > input.length) throw badLzma('a chunk ends too early');
    this.#range = range;
    this.#code = code;
    this.#at = at;
    this.#position = (this.#position + done) | 0;
    this.#emit(done, left);
    return done;
  }

  #start(input: Uint8Array): void {
    if (input.length < 5 || input[0] !== 0) throw badLzma('a chunk has a bad start');
    this.#input = input;
    this.#range = -1;
    this.#code = 0;
    for (this.#at = 1; this.#at < 5; this.#at++) {
      this.#code = (this.#code << 8) | (input[this.#at] ?? 0);
    }
  }

  #normalize(): void {
    if (this.#range >>> 24 === 0) {
      this.#range <<= 8;
      this.#code = (this.#code << 8) | (this.#input[this.#at++] ?? 0);
    }
  }

  #bit(probabilities: Uint16Array, index: number): 0 | 1 {
    this.#normalize();
    const probability = probabilities[index] ?? 0;
    const bound = Math.imul(this.#range >>> PROBABILITY_BITS, probability);
    if ((this.#code ^ INT_MIN) < (bound ^ INT_MIN)) {
      this.#range = bound;
      probabilities[index] = probability + ((2048 - probability) >>> MOVE_BITS);
      return 0;
    }
    this.#range = (this.#range - bound) | 0;
    this.#code = (this.#code - bound) | 0;
    probabilities[index] = probability - (probability >>> MOVE_BITS);
    return 1;
  }

  /** `count` bits of equal probability, the highest first. */
  #direct(count: number): number {
    let value = 0;
    for (let left = count; left > 0; left--) {
      this.#normalize();
      this.#range >>>= 1;
      const above = (this.#code ^ INT_MIN) >= ((this.#range | 0) ^ INT_MIN);
      if (above) this.#code = (this.#code - this.#range) | 0;
      value = (value << 1) | (above ? 1 : 0);
    }
    return value;
  }

  #tree(probabilities: Uint16Array, base: number, bits: number): number {
    let node = 1;
    for (let left = bits; left > 0; left--) {
      node = (node << 1) | this.#bit(probabilities, base + node);
    }
    return node - (1 << bits);
  }

  #reverseTree(probabilities: Uint16Array, base: number, bits: number): number {
    let node = 1;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.#bit(probabilities, base + node);
      node = (node << 1) | bit;
      value |= bit << i;
    }
    return value;
  }

  #literal(probabilities: Uint16Array): void {
    const { lc, lp } = this.#properties;
    const window = this.#window;
    const low = (this.#position & ((1 << lp) - 1)) << lc;
    const context = low + (window.peek(1) >>> (8 - lc));
    const base = LITERAL + LITERAL_SIZE * context;
    let symbol = 1;
    if (this.#state >= AFTER_MATCH) {
      // The byte at the last distance differs in some bit; it is the context of the bits before that.
      let matched = window.peek(this.#rep0 + 1);
      while (symbol < 0x100) {
        const guide = (matched >>> 7) & 1;
        matched <<= 1;
        const bit = this.#bit(probabilities, base + ((1 + guide) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (bit !== guide) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(probabilities, base + symbol);
    window.literal(symbol & 0xff);
    const state = this.#state;
    this.#state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
  }

  /** A match at a new distance: returns its length. */
  #match(probabilities: Uint16Array, position: number): number {
    this.#rep3 = this.#rep2;
    this.#rep2 = this.#rep1;
    this.#rep1 = this.#rep0;
    this.#state = this.#state < AFTER_MATCH ? 7 : 10;
    const length = this.#length(probabilities, MATCH_LENGTH, position);
    const tree = Math.min(length - MIN_MATCH, 3);
    const slot = this.#tree(probabilities, POSITION_SLOT + tree * 64, 6);
    if (slot < 4) {
      this.#rep0 = slot;
      return length;
    }
    const bits = (slot >>> 1) - 1;
    const base = (2 | (slot & 1)) << bits;
    if (slot < 14) {
      const special = POSITION_SPECIAL + base - slot;
      this.#rep0 = base + this.#reverseTree(probabilities, special, bits);
    } else {
      const high = this.#direct(bits - 4) << 4;
      // Unsigned: the largest distance is 2^32, which only an end mark has. LZMA2 has none of these.
      this.#rep0 = ((base >>> 0) + (high >>> 0) + this.#reverseTree(probabilities, ALIGN, 4)) >>> 0;
    }
    return length;
  }

  /** A match at one of the last four distances: returns its length. */
  #repeat(probabilities: Uint16Array, position: number): number {
    const state = this.#state;
    if (this.#bit(probabilities, IS_REP_G0 + state) === 0) {
      if (this.#bit(probabilities, IS_REP0_LONG + state * POSITIONS + position) === 0) {
        this.#state = state < AFTER_MATCH ? 9 : 11;
        return 1;
      }
    } else {
      let distance = this.#rep1;
      if (this.#bit(probabilities, IS_REP_G1 + state) === 1) {
        distance = this.#rep2;
        if (this.#bit(probabilities, IS_REP_G2 + state) === 1) {
          distance = this.#rep3;
          this.#rep3 = this.#rep2;
        }
        this.#rep2 = this.#rep1;
      }
      this.#rep1 = this.#rep0;
      this.#rep0 = distance;
    }
    this.#state = state < AFTER_MATCH ? 8 : 11;
    return this.#length(probabilities, REP_LENGTH, position);
  }

  #length(probabilities: Uint16Array, base: number, position: number): number {
    if (this.#bit(probabilities, base) === 0) {
      return MIN_MATCH + this.#tree(probabilities, base + LENGTH_LOW + position * 8, 3);
    }
    if (this.#bit(probabilities, base + 1) === 0) {
      return MIN_MATCH + 8 + this.#tree(probabilities, base + LENGTH_MIDDLE + position * 8, 3);
    }
    return MIN_MATCH + 16 + this.#tree(probabilities, base + LENGTH_HIGH, 8);
  }
}

export function badLzma(what: string): FormatError {
  return new FormatError(`damaged xz stream: ${what}`, { code: 'XZ_BAD', context: {} });
}
