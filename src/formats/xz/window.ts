import { FormatError } from '../../core/errors.ts';

/** Receives the output of a decoder, in order. `data` is valid only during the call. */
export interface Output {
  data(bytes: Uint8Array): void;
  /** `length` zero bytes, never materialized. */
  zeros(length: number): void;
}

/** A run of zeros of at least this length is reported as zeros; shorter ones as data. */
const WORTH = 4096;
/** Data is passed on in pieces of about this size in bytes. */
const FLUSH = 1 << 20;

/**
 * The dictionary of an LZ decoder: the last `size` bytes of output.
 *
 * Repeated zeros are only counted, not written, because the xz stream of an osmet unpacks to gigabytes of
 * them and little else. They enter the ring when other data follows.
 */
export class Window {
  readonly #output: Output;
  readonly #size: number;
  readonly #ring: Uint8Array;
  /** Position of the next byte in the ring. */
  #at = 0;
  /** Ring offset of the first byte that was not passed on; never beyond `#at`. */
  #kept = 0;
  /** Zeros at the end of the output; `#pending` of them are not in the ring. */
  #zeros = 0;
  #pending = 0;
  /** Bytes written so far. */
  #total = 0;
  /** Bytes that distances may reach back to. */
  #history = 0;

  constructor(size: number, output: Output) {
    this.#size = size;
    this.#ring = new Uint8Array(size);
    this.#output = output;
  }

  get total(): number {
    return this.#total;
  }

  /** All of a finished output that has not outgrown the window. */
  get contents(): Uint8Array {
    if (this.#total > this.#size) throw new RangeError('the output is larger than the window');
    return this.#ring.subarray(0, this.#total);
  }

  /** Forgets what came before: no distance may reach beyond this point. */
  reset(): void {
    this.#settle();
    this.#history = 0;
    this.#zeros = 0;
  }

  literal(byte: number): void {
    if (this.#pending > 0) this.#settle();
    this.#ring[this.#at++] = byte;
    this.#zeros = byte === 0 ? this.#zeros + 1 : 0;
    this.#advance(1);
    if (this.#at === this.#size) this.#wrap();
  }

  /** The byte `distance` back, 1 being the last one. Zero before the start. */
  peek(distance: number): number {
    if (distance <= this.#zeros) return 0;
    let from = this.#at - (distance - this.#pending);
    if (from < 0) from += this.#size;
    return this.#ring[from] ?? 0;
  }

  /** Repeats `length` bytes from `distance` back; they may overlap. False if it reaches too far. */
  match(distance: number, length: number): boolean {
    if (distance > this.#history || distance > this.#size) return false;
    if (distance <= this.#zeros) {
      this.#pending += length;
      this.#zeros += length;
      this.#advance(length);
      return true;
    }
    if (this.#pending > 0) this.#settle();
    const ring = this.#ring;
    const size = this.#size;
    let from = this.#at - distance;
    if (from < 0) from += size;
    let zeros = this.#zeros;
    for (let left = length; left > 0; left--) {
      const byte = ring[from++] ?? 0;
      if (from === size) from = 0;
      ring[this.#at++] = byte;
      zeros = byte === 0 ? zeros + 1 : 0;
      if (this.#at === size) this.#wrap();
    }
    this.#zeros = zeros;
    this.#advance(length);
    return true;
  }

  /** Bytes as they are. */
  copy(bytes: Uint8Array): void {
    for (const byte of bytes) this.literal(byte);
  }

  /** Passes on everything that is left. */
  finish(): void {
    this.#settle();
    this.#flush();
  }

  #advance(length: number): void {
    this.#total += length;
    this.#history += length;
    if (this.#total > Number.MAX_SAFE_INTEGER - 2 ** 32) {
      throw new FormatError('the stream has no end', { code: 'XZ_BAD' });
    }
    if (this.#at - this.#kept >= FLUSH) this.#flush();
  }

  /** Puts the zeros that were only counted into the ring. */
  #settle(): void {
    const pending = this.#pending;
    if (pending === 0) return;
    this.#pending = 0;
    if (pending >= WORTH) {
      this.#flush();
      this.#output.zeros(pending);
    }
    let left = Math.min(pending, this.#size);
    // Short runs may wrap, and are passed on with the data around them.
    while (left > 0) {
      const length = Math.min(left, this.#size - this.#at);
      this.#ring.fill(0, this.#at, this.#at + length);
      this.#at += length;
      left -= length;
      if (pending >= WORTH) this.#kept = this.#at;
      if (this.#at === this.#size) this.#wrap();
    }
  }

  #wrap(): void {
    this.#flush();
    this.#at = 0;
    this.#kept = 0;
  }

  #flush(): void {
    if (this.#at > this.#kept) this.#output.data(this.#ring.subarray(this.#kept, this.#at));
    this.#kept = this.#at;
  }
}
