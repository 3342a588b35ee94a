import { throwIfAborted } from '../../../core/errors.ts';
import { countingSink, type Sink } from '../../../core/io/sink.ts';
import type { Encoder } from '../../codec.ts';
import type { ReleasedContext } from '../context.ts';
import { targetSizeOf, type XzLayer } from '../layer.ts';
import { otherTarget } from '../other-target.ts';
import { streamEncoder } from '../threads/stream.ts';
import { blockCollector, type Collector } from './collector.ts';
import { crewOf } from './crew.ts';
import { partsOf } from './parts.ts';
import { presetNumber } from './presets.ts';
import { xzWriter } from './writer.ts';

/** A block that is being filled. */
interface OpenBlock {
  write(chunk: Uint8Array): Promise<void>;
  zeros(length: number): Promise<void>;
  end(): Promise<void>;
}

interface Blocks {
  open(size: number): Promise<OpenBlock>;
  start(): Promise<void>;
  end(padding: number): Promise<void>;
  finish(): Promise<void>;
  abort(reason: unknown): Promise<void>;
}

/** Cuts the target into the blocks of a layer. */
export function xzEncoder(layer: XzLayer, sink: Sink, context: ReleasedContext): Encoder {
  const blocks =
    layer.blockSize === undefined
      ? blocksInTurn(layer, sink, context)
      : blocksSideBySide(layer, layer.blockSize, sink, context);
  const size = targetSizeOf(layer) ?? 0;
  const parts = partsOf(layer);
  let open: OpenBlock | undefined;
  let left = 0;
  let taken = 0;

  /** Moves on to the next block; false after the last. */
  async function advance(): Promise<boolean> {
    for (;;) {
      const { value: part } = parts.next();
      if (part === undefined) return false;
      if (part.kind === 'start') await blocks.start();
      else if (part.kind === 'end') await blocks.end(part.padding);
      else {
        open = await blocks.open(part.size);
        left = part.size;
        return true;
      }
    }
  }
  async function pass(
    length: number,
    put: (to: OpenBlock, start: number, end: number) => Promise<void>,
  ) {
    throwIfAborted(context.signal);
    if (taken + length > size) throw otherTarget(size, taken + length);
    for (let done = 0; done < length; ) {
      if (open === undefined && !(await advance())) throw otherTarget(size, taken + length);
      if (open === undefined) throw new RangeError('a block was opened');
      const part = Math.min(left, length - done);
      await put(open, done, done + part);
      done += part;
      left -= part;
      if (left > 0) continue;
      await open.end();
      open = undefined;
    }
    taken += length;
  }
  async function guarded(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await blocks.abort(error);
      throw error;
    }
  }

  return {
    write: (chunk) =>
      guarded(() => pass(chunk.length, (to, start, end) => to.write(chunk.subarray(start, end)))),
    zeros: (length) => guarded(() => pass(length, (to, start, end) => to.zeros(end - start))),
    finish: () =>
      guarded(async () => {
        if (taken !== size) throw otherTarget(size, taken);
        await advance();
        await blocks.finish();
      }),
    abort: (reason) => blocks.abort(reason),
  };
}

/** Each stream is one block of any size: one thread's work, in constant memory. */
function blocksInTurn(layer: XzLayer, sink: Sink, { signal }: ReleasedContext): Blocks {
  const out = countingSink(sink);
  const writer = xzWriter(layer, out);
  const { library, check } = layer;
  const spec = { codec: 'lzma2', library, preset: presetNumber(layer), check } as const;
  let encoder: Encoder | undefined;
  return {
    start: writer.startStream,
    end: writer.endStream,
    async open(size) {
      await writer.startBlock();
      const start = out.bytes;
      let sum: Uint8Array = new Uint8Array(0);
      const stream = streamEncoder(spec, out, signal, (answer) => {
        sum = answer.check ?? sum;
      });
      encoder = stream;
      return {
        write: stream.write,
        zeros: stream.zeros,
        async end() {
          await stream.finish();
          await writer.endBlock(out.bytes - start, size, sum);
        },
      };
    },
    finish: async () => {},
    async abort(reason) {
      await encoder?.abort(reason);
    },
  };
}

/** Blocks of a known size: as many at a time as there are threads. */
function blocksSideBySide(
  layer: XzLayer,
  blockSize: number,
  sink: Sink,
  context: ReleasedContext,
): Blocks {
  const writer = xzWriter(layer, sink);
  const crew = crewOf(layer, blockSize, context);
  /** The parts to write, in order. */
  const queue: (() => Promise<void>)[] = [];
  /** Written in order while the next blocks are being made; `crewOf` counts the results that wait. */
  async function drain(depth: number): Promise<void> {
    while (queue.length > depth) await queue.shift()?.();
  }
  return {
    async start() {
      queue.push(writer.startStream);
    },
    async end(padding) {
      queue.push(() => writer.endStream(padding));
    },
    async open() {
      const block: Collector = blockCollector();
      return {
        write: block.write,
        zeros: block.zeros,
        async end() {
          const packed = await crew.pack(block.done());
          queue.push(async () => writer.block(await packed()));
          await drain(2 * crew.size);
        },
      };
    },
    async finish() {
      await drain(0);
      await crew.end();
    },
    abort: () => crew.end(),
  };
}
