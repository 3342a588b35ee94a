import type { EndFlag } from '../../../core/threads/ending.ts';
import type { Failure } from '../../../core/threads/failure.ts';
import type { PlannedUnit } from '../plan.ts';

/** The initial data of a thread. */
export interface ThreadData {
  readonly role: Role;
  readonly flag: EndFlag;
}

/** The role of a thread. Each thread opens its own files. */
export type Role = UnpackRole | FillRole | HashRole;

/** Unpacks units of the root image and writes the pieces that the disks need. */
export interface UnpackRole {
  readonly role: 'unpack';
  readonly iso: string;
  /** Paths of the disks, by number. */
  readonly outputs: readonly string[];
}

/** Decodes an osmet's xz stream into the ranges of its disk that no mapping covers. */
export interface FillRole {
  readonly role: 'fill';
  readonly iso: string;
  /** Name of the osmet file, for messages. */
  readonly name: string;
  /** The byte range of the stream in the ISO. */
  readonly start: number;
  readonly end: number;
  readonly output: string;
  /** Start and end of each range, in order. */
  readonly ranges: Float64Array;
}

/** Hashes a disk from its start, following behind the threads that write it. */
export interface HashRole {
  readonly role: 'hash';
  readonly output: string;
  /** Bytes. */
  readonly size: number;
}

/** To a thread of role `unpack`: units that lie near each other. */
export interface UnpackRequest {
  readonly id: number;
  readonly units: readonly PlannedUnit[];
}

/** To a thread of role `hash`: everything before `upTo` is final. */
export interface HashRequest {
  readonly upTo: number;
  /** Start and end of each data region between the last `upTo` and this one. */
  readonly data: Float64Array;
}

export type Reply =
  | { readonly kind: 'unpacked'; readonly id: number }
  /** Everything unmapped before `upTo` of the disk is written. */
  | { readonly kind: 'filled'; readonly upTo: number }
  | { readonly kind: 'hashed'; readonly upTo: number; readonly sha256: string | undefined }
  | { readonly kind: 'failed'; readonly failure: Failure };
