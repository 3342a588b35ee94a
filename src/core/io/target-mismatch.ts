import { type ErrorContext, IntegrityError } from '../errors.ts';
import type { Sha256 } from './digest.ts';

/** Code `TARGET_MISMATCH`: the result is complete, but does not match the promised size or SHA-256. */
export class TargetMismatchError extends IntegrityError {
  /** The actual size, and the actual SHA-256 if it was hashed. */
  readonly found: { readonly sha256: Sha256 | undefined; readonly size: number };

  constructor(message: string, { expected, found, context, hint }: TargetMismatchOptions) {
    super(message, {
      code: 'TARGET_MISMATCH',
      context: {
        ...context,
        'expected sha256': expected.sha256,
        'actual sha256': found.sha256,
        'expected size': expected.size,
        'actual size': found.size,
      },
      hint,
    });
    this.found = found;
  }
}

export interface TargetMismatchOptions {
  readonly expected: { readonly sha256?: Sha256 | undefined; readonly size: number };
  readonly found: TargetMismatchError['found'];
  readonly context: ErrorContext;
  readonly hint: string;
}
