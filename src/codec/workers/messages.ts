import type { Failure } from '../../core/threads/failure.ts';
import type { TaskInput, TaskName, TaskOutput } from './tasks.ts';

export interface Request {
  readonly id: number;
  readonly name: TaskName;
  readonly input: TaskInput<TaskName>;
}

export type Reply =
  | { readonly id: number; readonly output: TaskOutput<TaskName> }
  | { readonly id: number; readonly failure: Failure };
