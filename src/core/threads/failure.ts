import {
  FormatError,
  IntegrityError,
  IoError,
  RehydrateError,
  UnsupportedError,
} from '../errors.ts';

/** An error on its way out of a worker: structured clone would lose the class. */
export interface Failure {
  readonly kind: keyof typeof CLASSES | 'bug';
  readonly message: string;
  readonly code: string;
  readonly context: RehydrateError['context'];
  readonly hint: string | undefined;
  readonly stack: string | undefined;
}

/** What a thread may throw on purpose. */
const CLASSES = {
  format: FormatError,
  integrity: IntegrityError,
  io: IoError,
  unsupported: UnsupportedError,
} as const;

const isKind = (kind: string): kind is keyof typeof CLASSES => Object.hasOwn(CLASSES, kind);

export function toFailure(error: unknown): Failure {
  const known = error instanceof RehydrateError ? error : undefined;
  return {
    kind: known && isKind(known.kind) ? known.kind : 'bug',
    message: error instanceof Error ? error.message : String(error),
    code: known?.code ?? 'BUG',
    context: known?.context ?? {},
    hint: known?.hint,
    stack: error instanceof Error ? error.stack : undefined,
  };
}

export function fromFailure({ kind, message, code, context, hint, stack }: Failure): Error {
  const options = { code, context, ...(hint === undefined ? {} : { hint }) };
  if (kind === 'bug') return new Error(`codec worker: ${stack ?? message}`);
  return new CLASSES[kind](message, options);
}
