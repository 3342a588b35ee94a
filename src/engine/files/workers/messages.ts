import type { EndFlag } from '../../../core/threads/ending.ts';
import type { Failure } from '../../../core/threads/failure.ts';

/** The initial data of a thread. */
export interface Role {
  /** Where contents are written; undefined to only survey them. */
  readonly place: Place | undefined;
  readonly flag: EndFlag;
}

/** A base in the making, shared by the threads. */
export interface Place {
  /** The sparse file that becomes the base. */
  readonly base: string;
  /** This thread's own file for contents that are too large for memory. */
  readonly spill: string;
  readonly list: {
    readonly sizes: Float64Array;
    readonly digestLength: number;
    readonly digests: Uint8Array;
  };
  /** An Int32 for each content: {@link EMPTY}, {@link TAKEN} or {@link FILLED}. */
  readonly states: SharedArrayBuffer;
}

export const EMPTY = 0;
/** A thread is writing it. */
export const TAKEN = 1;
export const FILLED = 2;

export type Job =
  /** A layer of a container image: a tar, compressed or not, as a part of a file. */
  | {
      readonly kind: 'layer';
      readonly id: number;
      readonly name: string;
      readonly file: string;
      readonly start: number;
      readonly length: number;
      readonly maxMembers: number;
      readonly maxBytes: number;
    }
  /** Files of a folder. */
  | {
      readonly kind: 'paths';
      readonly id: number;
      readonly folder: string;
      readonly paths: readonly string[];
      /** An OSTree repository of the mode archive: its objects are deflated. */
      readonly archive: boolean;
    }
  /** Contents in a file: the offset and size of each. */
  | {
      readonly kind: 'hash';
      readonly id: number;
      readonly file: string;
      readonly offsets: Float64Array;
      readonly sizes: Float64Array;
    };

/** A change that a layer makes to the tree of files, or an entry of a folder. */
export type Change =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly size: number;
      /** Empty if the contents were not read, or the file is empty. */
      readonly sha256: string;
    }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  /** Something that is neither a file nor a folder. */
  | { readonly kind: 'other'; readonly path: string };

export type Reply =
  | {
      readonly kind: 'done';
      readonly id: number;
      readonly changes: readonly Change[];
      /** Unpacked. */
      readonly bytes: number;
      /** 32 bytes for each content of a `hash` job. */
      readonly digests?: Uint8Array;
    }
  /** Stored bytes of the job that were read so far. */
  | { readonly kind: 'read'; readonly id: number; readonly bytes: number }
  | { readonly kind: 'failed'; readonly failure: Failure };
