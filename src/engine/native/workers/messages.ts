import type { Failure } from '../../../core/threads/failure.ts';
import type { PlannedUnit } from '../plan.ts';

/** What a thread is for; it starts with this. Files are opened by each thread for itself. */
export type Role = UnpackRole | FillRole | HashRole;

/** Unpacks units of the root image and writes what the disks take of them. */
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
  /** Of the osmet file, for messages. */
  readonly name: string;
  /** Where the stream lies in the ISO, bytes. */
  readonly start: number;
  readonly end: number;
  readonly output: string;
  /** Start and end of each range, in order. */
  readonly ranges: Float64Array;
}

/** Hashes a disk from its start, following behind those who write it. */
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

/** To a thread of role `hash`: everything in front of `upTo` is as it will be. */
export interface HashRequest {
  readonly upTo: number;
  /** Start and end of each region that is no hole, between the last `upTo` and this one. */
  readonly data: Float64Array;
}

export type Reply =
  | { readonly kind: 'unpacked'; readonly id: number }
  /** Everything unmapped in front of `upTo` of the disk is written. */
  | { readonly kind: 'filled'; readonly upTo: number }
  | { readonly kind: 'hashed'; readonly upTo: number; readonly sha256: string | undefined }
  | { readonly kind: 'failed'; readonly failure: Failure };
