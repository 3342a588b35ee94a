/**
 * Finds the ends of the frames of a zstd stream without unpacking them: RFC 8878, 3.1. Releases of Node
 * differ in what they do at the end of a frame: some stop there, some go on with the next frame, and some
 * drop a few bytes after it without an error. A decompressor that gets exactly one frame has no choice.
 */
const MAGIC = 0xfd2fb528;
/** 0x184D2A50 to …5F: frames that hold no data. */
const SKIPPABLE = 0x184d2a5;

/** A part of a frame, in order; `last` ends it. */
export interface FramePart {
  readonly bytes: Uint8Array;
  readonly last: boolean;
}

/**
 * Cuts a zstd stream into the parts of its frames; skippable frames are left out. Throws Error with the
 * code `ZSTD_FRAME`.
 */
export function createFrameCutter() {
  let state: 'header' | 'block' | 'body' | 'checksum' | 'skip-header' | 'skip' = 'header';
  let pending = Buffer.alloc(0);
  let left = 0;
  let lastBlock = false;
  let checksum = false;

  /** Bytes of the header at the start of `pending`; undefined if more are needed to tell. */
  function headerLength(): number | undefined {
    if (pending.length < 5) return undefined;
    if (pending.readUInt32LE(0) !== MAGIC) throw broken('no zstd frame where one should begin');
    const descriptor = pending.readUInt8(4);
    const single = (descriptor & 0x20) !== 0;
    checksum = (descriptor & 0x04) !== 0;
    const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
    const size = [single ? 1 : 0, 2, 4, 8][descriptor >>> 6] ?? 0;
    const length = 5 + (single ? 0 : 1) + dictionary + size;
    return pending.length < length ? undefined : length;
  }

  function* push(chunk: Uint8Array): Generator<FramePart> {
    pending = pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([pending, chunk]);
    const take = (length: number): Buffer => {
      const bytes = pending.subarray(0, length);
      pending = pending.subarray(length);
      return bytes;
    };
    for (;;) {
      if (state === 'header') {
        if (pending.length >= 4 && pending.readUInt32LE(0) >>> 4 === SKIPPABLE) {
          state = 'skip-header';
          continue;
        }
        const length = headerLength();
        if (length === undefined) return;
        state = 'block';
        yield { bytes: take(length), last: false };
      } else if (state === 'block') {
        if (pending.length < 3) return;
        const field = pending.readUIntLE(0, 3);
        lastBlock = (field & 1) !== 0;
        const type = (field >>> 1) & 3;
        if (type === 3) throw broken('a zstd block of an unknown kind');
        left = type === 1 ? 1 : field >>> 3;
        state = 'body';
        yield { bytes: take(3), last: false };
      } else if (state === 'body' || state === 'checksum') {
        const bytes = take(Math.min(left, pending.length));
        left -= bytes.length;
        const over = left === 0;
        const last = over && (state === 'checksum' || (lastBlock && !checksum));
        if (bytes.length > 0 || last) yield { bytes, last };
        if (!over) return;
        if (last) state = 'header';
        else if (state === 'body' && lastBlock) [state, left] = ['checksum', 4];
        else state = 'block';
      } else if (state === 'skip-header') {
        if (pending.length < 8) return;
        left = pending.readUInt32LE(4);
        take(8);
        state = 'skip';
      } else {
        left -= take(Math.min(left, pending.length)).length;
        if (left > 0) return;
        state = 'header';
      }
    }
  }

  return {
    push,
    /** Throws if the stream ends inside a frame. */
    finish(): void {
      if (state !== 'header' || pending.length > 0) throw broken('unexpected end of file');
    },
  };
}

function broken(why: string): Error {
  return Object.assign(new Error(why), { code: 'ZSTD_FRAME' });
}
