import type { Sink } from '../../../core/io/sink.ts';
import type { Encoder } from '../../codec.ts';
import type { ReleasedContext } from '../context.ts';
import type { DeflatedLayer } from '../layer.ts';
import { streamEncoder } from '../threads/stream.ts';

/** The bytes before the stream, the stream, and the bytes after it. */
export function deflatedEncoder(
  { head, tail, deflater }: DeflatedLayer,
  sink: Sink,
  { signal }: ReleasedContext,
): Encoder {
  const stream = deflater
    ? streamEncoder({ codec: 'deflate', params: deflater }, sink, signal)
    : stored(sink);
  let begun = false;
  async function begin(): Promise<void> {
    if (begun) return;
    begun = true;
    await sink.write(Buffer.from(head, 'base64'));
  }
  return {
    async write(chunk) {
      await begin();
      await stream.write(chunk);
    },
    async zeros(length) {
      await begin();
      await stream.zeros(length);
    },
    async finish() {
      await begin();
      await stream.finish();
      await sink.write(Buffer.from(tail, 'base64'));
    },
    abort: (reason) => stream.abort(reason),
  };
}

const stored = (sink: Sink): Encoder => ({
  write: (chunk) => sink.write(chunk),
  zeros: (length) => sink.zeros(length),
  finish: async () => {},
  abort: async () => {},
});
