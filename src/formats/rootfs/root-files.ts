import type { Codec } from './decompress.ts';

/** A range of the root image that is decompressed as a whole. */
export interface Unit {
  /** Where its stored bytes lie in the ISO, bytes. */
  readonly offset: number;
  readonly stored: number;
  /** Bytes that it unpacks to; at most this where `exact` is false. */
  readonly length: number;
  readonly exact: boolean;
  readonly codec: Codec;
  /** It may hold more than `length` bytes; no file uses the rest. */
  readonly partial?: boolean;
  /** At most this many of the first stored bytes may be zeros that are not part of the data. */
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
   * The pieces that hold bytes of `[start, end)`, in order; the first and the last may extend beyond it.
   * Bytes in no piece are zero. Files that share a unit get the same one: compare `offset`.
   */
  pieces(start: number, end: number): Iterable<Piece>;
}

/** A regular file in a listing. */
export interface ListedFile {
  /** Without leading slash; a byte of the name is a character. */
  readonly path: string;
  /** Equal for names of the same data. */
  readonly key: string;
  readonly file: RootFile;
}

/** The files of a root image, read in place inside the ISO. */
export interface RootFiles {
  /** E.g. `squashfs, zstd`. For people. */
  readonly description: string;
  /**
   * The regular file at an absolute path without leading slash; undefined if there is none. Looking up
   * neighbours one after the other is fast.
   */
  find(path: string): RootFile | undefined;
  hasFolder(path: string): boolean;
  /** Every name of every regular file, folder by folder. Throws what the readers throw. */
  list(): Iterable<ListedFile>;
}

/** Largest accepted file in bytes; files of an OS image are far smaller. */
export const MAX_FILE_SIZE = 2 ** 40;
