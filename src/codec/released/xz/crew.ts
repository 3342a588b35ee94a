import { availableParallelism } from 'node:os';
import type { ReleasedContext } from '../context.ts';
import type { XzLayer } from '../layer.ts';
import type { Answer, Ask } from '../threads/messages.ts';
import { type PackThread, packThread } from '../threads/thread.ts';
import type { BlockContents } from './collector.ts';
import { CHECK_SIZES } from './container.ts';
import { encoderMemory, presetNumber } from './presets.ts';
import { blockShape, type PackedBlock } from './writer.ts';

/** Threads that compress a block each. */
export interface Crew {
  /** How many blocks at a time. */
  readonly size: number;
  /** Resolves once a thread has taken the block, to what waits for the result. */
  pack(contents: BlockContents): Promise<() => Promise<PackedBlock>>;
  /** Ends all threads at once. */
  end(): Promise<void>;
}

/** Maximum memory of the threads of all crews, in bytes. */
let reserved = 0;

/** Blocks in memory for each thread: what it compresses, what comes of that, and two results that wait for their turn. */
const BLOCKS_EACH = 4;

/**
 * As many threads as there are processors, or as half of the free memory has room for beside those of other crews; one
 * at least.
 */
export function crewOf(
  layer: XzLayer,
  blockSize: number,
  { signal, threads = availableParallelism(), blocks: memo }: ReleasedContext,
): Crew {
  const { library, check } = layer;
  const preset = presetNumber(layer);
  const { limit } = blockShape(layer);
  const spec = { codec: 'lzma2', library, preset, check, limit } as const;
  const each = encoderMemory(layer) + BLOCKS_EACH * blockSize;
  const affordable = Math.floor((process.availableMemory() / 2 - reserved) / each);
  const size = Math.max(1, Math.min(threads, affordable));
  reserved += size * each;
  let ended = false;
  const all: PackThread[] = [];
  const idle: PackThread[] = [];
  const waiting: ((thread: PackThread) => void)[] = [];

  async function acquire(): Promise<PackThread> {
    const free = idle.pop();
    if (free) return free;
    if (all.length < size) {
      const thread = packThread(signal);
      all.push(thread);
      return thread;
    }
    return new Promise((resolve) => waiting.push(resolve));
  }
  function release(thread: PackThread): void {
    const next = waiting.shift();
    if (next) next(thread);
    else idle.push(thread);
  }

  async function packIn(thread: PackThread, { pieces, size: unpacked }: BlockContents) {
    // Without the spare buffers: nothing fills them again.
    const ask = async (what: Ask): Promise<Answer> => {
      const { made, check, stored } = await thread.ask(what);
      return { made, check, stored };
    };
    const answers = [ask({ op: 'start', spec })];
    for (const piece of pieces) {
      answers.push(
        ask(
          typeof piece === 'number'
            ? { op: 'zeros', length: piece }
            : { op: 'data', bytes: piece, length: piece.length },
        ),
      );
    }
    answers.push(ask({ op: 'end' }));
    const done = await Promise.all(answers);
    const last = done.at(-1);
    const data = last?.stored
      ? [last.stored]
      : done.flatMap(({ made }) => (made.length > 0 ? [made] : []));
    return { unpacked, data, check: last?.check ?? new Uint8Array(0), stored: !!last?.stored };
  }

  return {
    size,
    async pack(contents) {
      const key = [library, preset, check, limit, contents.size, contents.sha256].join('-');
      const known = await memo?.get(key);
      if (known) {
        const block = unpackMemo(known, check, contents.size);
        return async () => block;
      }
      const thread = await acquire();
      const result = packIn(thread, contents).then(async (block) => {
        await memo?.put(key, packMemo(block));
        return block;
      });
      result.then(
        () => release(thread),
        () => release(thread), // has ended, as the next one who asks it learns
      );
      return () => result;
    },
    async end() {
      if (!ended) reserved -= size * each;
      ended = true;
      await Promise.all(all.map((thread) => thread.end()));
    },
  };
}

function packMemo({ stored, check, data }: PackedBlock): Uint8Array {
  return Buffer.concat([Buffer.of(stored ? 1 : 0), check, ...data]);
}

function unpackMemo(bytes: Uint8Array, check: number, unpacked: number): PackedBlock {
  const start = 1 + (CHECK_SIZES[check] ?? 0);
  return {
    unpacked,
    stored: bytes[0] === 1,
    check: bytes.subarray(1, start),
    data: [bytes.subarray(start)],
  };
}
