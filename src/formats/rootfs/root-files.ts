import type { Codec } from './decompress.ts';

/** A stretch of the root image that is decompressed as a whole. */
export interface Unit {
  /** Where its stored bytes lie in the ISO, bytes. */
  readonly offset: number;
  readonly stored: number;
  /** Bytes that it unpacks to; at most this where `exact` is false. */
  readonly length: number;
  readonly exact: boolean;
  readonly codec: Codec;
  /** It may hold more than `length` bytes, which are of no use to any file. */
  readonly partial?: boolean;
  /** So many of the first stored bytes, at most, may be zeros that are not part of the data. */
  readonly padding?: number;
}

/** A part of a file: `length` bytes at `start` of it are those at `unitOffset` of the unpacked unit. */
export interface Piece {
  readonly start: number;
  readonly length: number;
  readonly unit: Unit;
  readonly unitOffset: number;
}

/** A regular file of the root image, its data not read yet. */
export interface RootFile {
  /** Bytes. */
  readonly size: number;
  /**
   * The pieces that hold bytes of `[start, end)`, in order; the first and the last may reach beyond. What
   * none holds is zero. Units are the same for all files that share them: compare `offset`.
   */
  pieces(start: number, end: number): Iterable<Piece>;
}

/** The files of a root image, read in place inside the ISO. */
export interface RootFiles {
  /** E.g. `squashfs, zstd`. For people. */
  readonly description: string;
  /**
   * The regular file at an absolute path without leading slash; undefined if there is none. Asking for
   * neighbours one after the other is fast.
   */
  find(path: string): RootFile | undefined;
  hasFolder(path: string): boolean;
}

/** Largest file that is believed; objects of an OS image are far smaller. Bytes. */
export const MAX_FILE_SIZE = 2 ** 40;
