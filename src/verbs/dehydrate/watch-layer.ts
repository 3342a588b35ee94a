import { type ReleasedChecker, releasedChecker } from '../../codec/released/check.ts';
import type { BlockMemo } from '../../codec/released/context.ts';
import type { ReleasedKind, ReleasedLayer } from '../../codec/released/layer.ts';
import { recogniseReleased } from '../../codec/released/recognise.ts';
import { FormatError, throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import { openSource } from '../../core/io/source.ts';
import { isZero } from '../../core/io/zero.ts';
import type { Progress } from '../../core/progress/progress.ts';
import type { ReleasedFile } from '../../release/files/released.ts';

/** Finds out how a released file was compressed, while its contents are read for another purpose. */
export interface LayerWatch extends AsyncDisposable {
  /** The same chunks. Each is compressed again, and compared with the file, on its way. */
  watch(contents: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  /** Once these have ended: how to compress them again; undefined if that is not known. */
  layer(): ReleasedLayer | undefined;
}

export interface WatchOptions {
  /** Kinds of compression to try; none if undefined. */
  readonly kinds?: readonly ReleasedKind[] | undefined;
  /** Blocks that were compressed before, in this run. */
  readonly blocks?: BlockMemo | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
  /** For progress. */
  readonly subject: string;
}

/** If the bytes cannot be reproduced, that is not an error: a note says so. Dispose of it after the contents. */
export async function watchLayer(file: ReleasedFile, options: WatchOptions): Promise<LayerWatch> {
  const { kinds = [], blocks, signal, progress, subject } = options;
  const kind = kinds.find((one) => one === file.compression);
  if (kind === undefined) return NO_WATCH;
  const note = (reason: string) => {
    const message = `only its contents can be made, not ${nameOf(file)}: ${reason}`;
    progress({ type: 'note', subject, message });
  };
  const source = await openSource(file.path, signal);
  let checker: ReleasedChecker;
  try {
    const context = { signal, blocks };
    checker = releasedChecker(await recogniseReleased(source, kind, context), source, context);
  } catch (error) {
    await source.close();
    throwIfAborted(signal);
    // The read itself reports damage.
    if (error instanceof FormatError) return NO_WATCH;
    if (!(error instanceof UnsupportedError)) throw error;
    note(error.message.replaceAll(file.path, 'it'));
    return NO_WATCH;
  }
  let ended = false;
  let closed = false;
  return {
    async *watch(contents) {
      for await (const chunk of contents) {
        await (isZero(chunk) ? checker.zeros(chunk.length) : checker.write(chunk));
        yield chunk;
      }
      await checker.finish();
      ended = true;
      if (checker.agreed === undefined) note(`no known ${kind} compressor gives its bytes`);
    },
    layer: () => checker.agreed,
    async [Symbol.asyncDispose]() {
      if (closed) return;
      closed = true;
      if (!ended) await checker.abort(signal?.reason);
      await source.close();
    },
  };
}

const NO_WATCH: LayerWatch = {
  watch: (contents) => contents,
  layer: () => undefined,
  async [Symbol.asyncDispose]() {},
};

const nameOf = ({ path }: ReleasedFile) => path.slice(path.lastIndexOf('/') + 1);
