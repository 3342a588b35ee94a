import type { Writable } from 'node:stream';
import { CancelledError } from '../../core/errors.ts';
import { osError } from '../../core/io/os-error.ts';
import { type Sink, streamSink } from '../../core/io/sink.ts';
import type { MadeFile } from '../make/made-file.ts';
import { tarWriter } from './tar.ts';

/** Artifacts on their way into one stream. */
export interface StreamOutput extends AsyncDisposable {
  /** Sends the bytes that `body` writes, and resolves to its result; one call at a time. */
  send<T>(file: Pick<MadeFile, 'name' | 'size'>, body: (sink: Sink) => Promise<T>): Promise<T>;
  /**
   * Ends the stream: bytes in the pipe cannot be taken back, so nothing can follow an artifact that failed
   * half-way. Calls `onBroken`.
   */
  breakOff(cause: unknown): void;
  /** Writes the end marks. An interrupted tar visibly lacks them. */
  finish(): Promise<void>;
}

/** A single artifact (`count` is 1) is written as it is, several as a tar. */
export function streamOutput(
  stream: Writable,
  count: number,
  onBroken: (reason: CancelledError) => void,
): StreamOutput {
  const tar = count === 1 ? undefined : tarWriter(stream);
  let broken = false;
  return {
    async send({ name, size = 0 }, body) {
      const sent: Awaited<ReturnType<typeof body>>[] = [];
      const collect = async (sink: Sink) => {
        sent.push(await body(sink));
      };
      try {
        await (tar ? tar.add(name, size, collect) : collect(streamSink(stream)));
      } catch (error) {
        throw osError(error, 'write to', 'the output stream');
      }
      const [result] = sent;
      if (result === undefined) throw new Error('the tar writer did not read the artifact');
      return result;
    },
    breakOff(cause) {
      broken = true;
      const message = 'the output stream broke before this artifact';
      onBroken(new CancelledError(message, { code: 'STREAM_BROKEN', cause }));
    },
    async finish() {
      if (broken) return;
      await tar?.finish().catch((error: unknown) => {
        throw osError(error, 'write to', 'the output stream');
      });
    },
    async [Symbol.asyncDispose]() {
      await tar?.[Symbol.asyncDispose]();
    },
  };
}
