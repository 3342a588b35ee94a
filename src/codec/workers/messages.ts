import { FormatError, IntegrityError, RehydrateError } from '../../errors.ts';
import type { TaskInput, TaskName, TaskOutput } from './tasks.ts';

export interface Request {
  readonly id: number;
  readonly name: TaskName;
  readonly input: TaskInput<TaskName>;
}

export type Reply =
  | { readonly id: number; readonly output: TaskOutput<TaskName> }
  | { readonly id: number; readonly failure: Failure };

/** An error on its way out of a worker: structured clone would lose the class. */
export interface Failure {
  readonly kind: 'format' | 'integrity' | 'bug';
  readonly message: string;
  readonly code: string;
  readonly context: RehydrateError['context'];
  readonly hint: string | undefined;
  readonly stack: string | undefined;
}

export function toFailure(error: unknown): Failure {
  const known = error instanceof RehydrateError ? error : undefined;
  return {
    kind: known?.kind === 'format' || known?.kind === 'integrity' ? known.kind : 'bug',
    message: error instanceof Error ? error.message : String(error),
    code: known?.code ?? 'BUG',
    context: known?.context ?? {},
    hint: known?.hint,
    stack: error instanceof Error ? error.stack : undefined,
  };
}

export function fromFailure({ kind, message, code, context, hint, stack }: Failure): Error {
  const options = { code, context, ...(hint === undefined ? {} : { hint }) };
  if (kind === 'format') return new FormatError(message, options);
  if (kind === 'integrity') return new IntegrityError(message, options);
  return new Error(`codec worker: ${stack ?? message}`);
}
