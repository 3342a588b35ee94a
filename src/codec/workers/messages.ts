import type { Failure } from '../../core/threads/failure.ts';

export interface Request {
  readonly id: number;
  /** Of the task. */
  readonly name: string;
  readonly input: unknown;
}

export type Reply =
  | { readonly id: number; readonly output: unknown }
  | { readonly id: number; readonly failure: Failure };
