import { deflateStream } from '../../deflate/deflater.ts';
import { lzmaPacker } from '../xz/packer.ts';
import type { StreamSpec } from './messages.ts';

/** Compresses one stream. Pieces are valid until the next one is requested. */
export interface Packer {
  push(chunk: Uint8Array): Iterable<Uint8Array>;
  finish(): Iterable<Uint8Array>;
  /** Of the contents, after `finish`. */
  check?(): Uint8Array;
  /** Bytes that replace the whole output; undefined if it is right as it is. */
  stored?(): Iterable<Uint8Array> | undefined;
}

export function startPacker(spec: StreamSpec): Promise<Packer> {
  return spec.codec === 'deflate' ? deflateStream(spec.params) : lzmaPacker(spec);
}
