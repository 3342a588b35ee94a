import type { Answer } from './messages.ts';
import type { PackThread } from './thread.ts';

/** Bytes that go to a thread at a time. */
const CHUNK = 1 << 20;
/** Zeros that go to a thread at a time: little memory, but work. */
const ZERO_CHUNK = 64 << 20;

/** Collects data for a thread into messages of a worthwhile size. */
export interface Feeder {
  /** The answers to come, in order; ones that reject do so in the order of their turn. */
  write(chunk: Uint8Array): Promise<Answer>[];
  zeros(length: number): Promise<Answer>[];
  /** Sends the rest. */
  flush(): Promise<Answer>[];
}

export function feederOf(thread: PackThread, spare: Uint8Array<ArrayBuffer>[]): Feeder {
  let buffer: Uint8Array<ArrayBuffer> | undefined;
  let filled = 0;
  const ask = (...[what]: Parameters<PackThread['ask']>) => {
    const answer = thread.ask(what).then((done) => {
      if (done.spare) spare.push(done.spare);
      return done;
    });
    answer.catch(() => {}); // thrown when its turn comes
    return answer;
  };
  function flush(): Promise<Answer>[] {
    if (buffer === undefined || filled === 0) return [];
    const [bytes, length] = [buffer, filled];
    buffer = undefined;
    filled = 0;
    return [ask({ op: 'data', bytes, length })];
  }
  return {
    write(chunk) {
      const answers: Promise<Answer>[] = [];
      for (let at = 0; at < chunk.length; ) {
        buffer ??= spare.pop() ?? new Uint8Array(CHUNK);
        const part = chunk.subarray(at, at + CHUNK - filled);
        buffer.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === CHUNK) answers.push(...flush());
      }
      return answers;
    },
    zeros(length) {
      const answers = flush();
      for (let left = length; left > 0; left -= ZERO_CHUNK) {
        answers.push(ask({ op: 'zeros', length: Math.min(left, ZERO_CHUNK) }));
      }
      return answers;
    },
    flush,
  };
}
