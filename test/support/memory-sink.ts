import type { Sink } from '../../src/core/io/sink.ts';

/** Keeps everything that is written. */
export function memorySink(): Sink & { bytes(): Buffer } {
  const pieces: Buffer[] = [];
  return {
    write: async (chunk) => void pieces.push(Buffer.from(chunk)),
    zeros: async (length) => void pieces.push(Buffer.alloc(length)),
    bytes: () => Buffer.concat(pieces),
  };
}
