import type { Answers } from './ask.ts';

/** As the `enum kind` of faults.c. */
export const KINDS = [
  'open',
  'read',
  'write',
  'fsync',
  'truncate',
  'rename',
  'mkdir',
  'link',
  'unlink',
  'list',
  'stat',
] as const;
export type Kind = (typeof KINDS)[number];

/** The call at which a run fails. */
export interface Point {
  readonly kind: Kind;
  /** From 1. */
  readonly nth: number;
  readonly errno: number;
  /** Whether all later calls of the kind also fail, as on a full disk. */
  readonly sticky: boolean;
}

export interface RunRequest {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Calls below this folder count. */
  readonly root: string;
  readonly point?: Point | undefined;
  /** For a server, which is stopped once it has answered these. */
  readonly paths?: readonly string[] | undefined;
}

export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly counts: Readonly<Record<string, number>>;
  /** Calls of all kinds. */
  readonly steps: number;
  /** Those among them that change what is on disk. */
  readonly changes: number;
  /** How many calls failed. */
  readonly hits: number;
  /** The path of the first of them. */
  readonly hit: string;
  readonly answers: Answers;
  /** Files that the run has left open. */
  readonly open: readonly string[];
}
