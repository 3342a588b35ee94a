import type { Hashing } from '../core/io/digest.ts';

/** Input and output of a task: plain data for structured clone. */
export interface TaskType {
  readonly input: unknown;
  readonly output: unknown;
}

/** Return value of a task's function: its result, and the buffers of it to transfer. */
export interface Done<T> {
  readonly output: T;
  readonly transfer: readonly ArrayBuffer[];
}

/** A piece of a codec's work that may run in another thread, which finds it by its name. */
export interface Task<T extends TaskType> {
  readonly name: string;
  run(input: T['input']): Promise<Done<T['output']>>;
}

/** Runs codec tasks, several at a time. Share one between codecs; dispose of it at the end. */
export interface CodecPool {
  /** Useful number of tasks in progress; more would only cost memory. */
  readonly depth: number;
  /** The buffers of `transfer` move into the task and are gone here. */
  run<T extends TaskType>(
    task: Task<T>,
    input: T['input'],
    transfer?: readonly ArrayBuffer[],
  ): Promise<T['output']>;
  /** Creates a hasher for about `size` bytes, in another thread if that is worth it. */
  hashing(size: number, signal: AbortSignal | undefined): Hashing;
  [Symbol.asyncDispose](): Promise<void>;
}
