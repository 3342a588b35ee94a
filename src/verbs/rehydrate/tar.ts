import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { pack } from 'tar-stream';
import { type Sink, streamSink } from '../../core/io/sink.ts';
import { zeroChunks } from '../../core/io/zero.ts';

/** A tar on its way to a stream. */
export interface TarWriter extends AsyncDisposable {
  /** Adds a file of exactly `size` bytes, which `body` writes. */
  add(name: string, size: number, body: (sink: Sink) => Promise<void>): Promise<void>;
  /** Writes the end marks; without it the archive is visibly cut off. */
  finish(): Promise<void>;
}

/**
 * A POSIX tar that is the same in every run: mode 0644, owner 0, time 0. Sizes of
 * 8 GiB and more are in base 256, which GNU tar, bsdtar and Python read.
 */
export function tarWriter(stream: Writable): TarWriter {
  const archive = pack();
  const out = streamSink(stream);
  let outFailure: unknown;
  const pump = (async () => {
    for await (const chunk of archive as AsyncIterable<Uint8Array>) {
      await out.write(chunk).catch((error: unknown) => {
        outFailure = error;
        throw error;
      });
    }
  })();
  pump.catch(() => {}); // it may fail while nothing awaits it; the next await rethrows it

  return {
    async add(name, size, body) {
      const { promise: complete, resolve, reject } = Promise.withResolvers<void>();
      complete.catch(() => {}); // if `body` fails, its error is reported
      const header = { name, size, mode: 0o644, mtime: new Date(0) };
      const entry = archive.entry(header, (error) =>
        // If the output fails, so does the entry: report the cause, not the consequence.
        error ? reject(outFailure ?? error) : resolve(),
      );
      entry.on('error', () => {}); // the callback reports it
      const write = async (chunk: Uint8Array) => {
        if (!entry.write(chunk)) await Promise.race([once(entry, 'drain'), complete, pump]);
      };
      await body({
        write: (chunk) => write(Buffer.from(chunk)), // the entry keeps the chunk beyond this call
        async zeros(length) {
          for (const chunk of zeroChunks(length)) await write(chunk);
        },
      });
      entry.end(undefined);
      await Promise.race([complete, pump]);
    },
    async finish() {
      archive.finalize();
      await pump;
    },
    async [Symbol.asyncDispose]() {
      archive.destroy();
      await pump.catch(() => {});
    },
  };
}
