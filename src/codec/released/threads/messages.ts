import type { Failure } from '../../../core/threads/failure.ts';
import type { DeflateParams } from '../../deflate/params.ts';
import type { LzmaSpec } from '../xz/packer.ts';

/** Settings with which a thread compresses, one stream after the other. */
export type StreamSpec = { readonly codec: 'deflate'; readonly params: DeflateParams } | LzmaSpec;

/** The parts of a stream, in order. Buffers are moved. */
export type Ask =
  | { readonly op: 'start'; readonly spec: StreamSpec }
  | { readonly op: 'data'; readonly bytes: Uint8Array<ArrayBuffer>; readonly length: number }
  | { readonly op: 'zeros'; readonly length: number }
  | { readonly op: 'end' };

export interface Answer {
  /** Output that is ready after it. */
  readonly made: Uint8Array;
  /** The buffer of `data`, to be filled again. */
  readonly spare?: Uint8Array<ArrayBuffer> | undefined;
  /** At the end of a stream that has one: the check of its contents. */
  readonly check?: Uint8Array | undefined;
  /** At the end: bytes that replace the whole output. */
  readonly stored?: Uint8Array | undefined;
}

export type Reply = { readonly answer: Answer } | { readonly failure: Failure };
