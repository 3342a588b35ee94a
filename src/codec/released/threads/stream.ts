import type { Sink } from '../../../core/io/sink.ts';
import type { Encoder } from '../../codec.ts';
import { feederOf } from './feeder.ts';
import type { Answer, StreamSpec } from './messages.ts';
import { packThread } from './thread.ts';

/** Messages under way to the thread: enough that it never waits. */
const DEPTH = 4;

/**
 * Compresses one stream in a separate thread, while the caller makes more of the target.
 *
 * @param ended receives the last answer
 */
export function streamEncoder(
  spec: StreamSpec,
  sink: Sink,
  signal: AbortSignal | undefined,
  ended: (last: Answer) => void = () => {},
): Encoder {
  const thread = packThread(signal);
  const feeder = feederOf(thread, []);
  const queue: Promise<Answer>[] = [thread.ask({ op: 'start', spec })];
  queue[0]?.catch(() => {}); // thrown when its turn comes

  async function drain(depth: number): Promise<void> {
    try {
      while (queue.length > depth) {
        const answer = await queue.shift();
        if (answer && answer.made.length > 0) await sink.write(answer.made);
      }
    } catch (error) {
      await thread.end();
      throw error;
    }
  }
  return {
    async write(chunk) {
      queue.push(...feeder.write(chunk));
      await drain(DEPTH);
    },
    async zeros(length) {
      queue.push(...feeder.zeros(length));
      await drain(DEPTH);
    },
    async finish() {
      queue.push(...feeder.flush());
      const last = thread.ask({ op: 'end' });
      last.catch(() => {}); // as above
      queue.push(last);
      await drain(0);
      ended(await last);
      await thread.end();
    },
    abort: () => thread.end(),
  };
}
