import { deflateStream } from '../../deflate/deflater.ts';
import type { StreamSpec } from './messages.ts';

/** Compresses one stream. Pieces are valid until the next is asked for. */
export interface Packer {
  push(chunk: Uint8Array): Iterable<Uint8Array>;
  finish(): Iterable<Uint8Array>;
}

export function startPacker({ params }: StreamSpec): Promise<Packer> {
  return deflateStream(params);
}
