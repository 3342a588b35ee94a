import type { Failure } from '../../../core/threads/failure.ts';
import type { DeflateParams } from '../../deflate/params.ts';

/** What a thread compresses with, one stream after the other. */
export interface StreamSpec {
  readonly codec: 'deflate';
  readonly params: DeflateParams;
}

/** The parts of a stream, in order. Buffers are moved. */
export type Ask =
  | { readonly op: 'start'; readonly spec: StreamSpec }
  | { readonly op: 'data'; readonly bytes: Uint8Array<ArrayBuffer>; readonly length: number }
  | { readonly op: 'zeros'; readonly length: number }
  | { readonly op: 'end' };

export interface Answer {
  /** What is ready after it. */
  readonly made: Uint8Array;
  /** The buffer of `data`, to be filled again. */
  readonly spare?: Uint8Array<ArrayBuffer> | undefined;
}

export type Reply = { readonly answer: Answer } | { readonly failure: Failure };
