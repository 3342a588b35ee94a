import { RehydrateError, throwIfAborted } from '../../../core/errors.ts';
import type { Source } from '../../../core/io/source.ts';
import { asBuffer } from '../../../core/io/zero.ts';
import { decodeLzma2 } from '../../../formats/xz/lzma2.ts';
import { Window } from '../../../formats/xz/window.ts';
import type { ReleasedContext } from '../context.ts';
import type { Liblzma } from '../layer.ts';
import { packThread } from '../threads/thread.ts';
import { unknownLayer } from '../unknown.ts';
import { type Preset, presetNumber } from './presets.ts';

/** Where the LZMA2 data of a block begins. */
export interface SampleBlock {
  readonly start: number;
  readonly dictionary: number;
}

/** Of the compressed data, to try presets on: several of LZMA2's chunks. */
const PACKED = 512 << 10;
/** Of the contents, at most: runs tell nothing. */
const UNPACKED = 16 << 20;
const PIECE = 256 << 10;

/** The presets that make the start of a block. */
export async function agreeing(
  source: Source,
  block: SampleBlock,
  presets: readonly Preset[],
  library: Liblzma,
  { signal }: ReleasedContext,
): Promise<Preset[]> {
  const { contents, whole } = unpackStart(source, block, signal);
  const thread = packThread(signal);
  const found: Preset[] = [];
  try {
    for (const one of presets) {
      const spec = { codec: 'lzma2', library, preset: presetNumber(one), check: 0 } as const;
      await thread.ask({ op: 'start', spec });
      let at = block.start;
      const agrees = async (made: Uint8Array) => {
        if (at + made.length > source.size) return false;
        const wanted = Buffer.alloc(made.length);
        await source.read(wanted, at);
        at += made.length;
        return wanted.equals(asBuffer(made));
      };
      let same = true;
      for (let done = 0; same && done < contents.length; done += PIECE) {
        const bytes = Uint8Array.from(contents.subarray(done, done + PIECE));
        same = await agrees((await thread.ask({ op: 'data', bytes, length: bytes.length })).made);
      }
      if (same && whole) same = await agrees((await thread.ask({ op: 'end' })).made);
      if (same) found.push(one);
    }
  } finally {
    await thread.end();
  }
  return found;
}

/** Thrown through the decoder when the sample is large enough. */
const ENOUGH = Symbol('enough');

function unpackStart(source: Source, block: SampleBlock, signal: AbortSignal | undefined) {
  const pieces: Buffer[] = [];
  let taken = 0;
  const take = (length: number) => {
    const bytes = new Uint8Array(length);
    source.readSync(bytes, block.start + taken);
    taken += length;
    return bytes;
  };
  const window = new Window(Math.min(block.dictionary, UNPACKED + (4 << 20)), {
    data: (bytes) => void pieces.push(Buffer.from(bytes)),
    zeros: (length) => void pieces.push(Buffer.alloc(length)),
  });
  let whole = true;
  try {
    decodeLzma2(take, window, () => {
      throwIfAborted(signal);
      if (taken >= PACKED || window.total >= UNPACKED) throw ENOUGH;
    });
  } catch (error) {
    if (error !== ENOUGH) {
      if (error instanceof RehydrateError && error.kind === 'cancelled') throw error;
      throw unknownLayer(source.name, 'it is damaged');
    }
    whole = false;
  }
  window.finish();
  return { contents: Buffer.concat(pieces), whole };
}
