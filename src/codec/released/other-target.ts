import { IntegrityError } from '../../core/errors.ts';

/** The error if the layer is for a target of a different size; the caller checks the hash. */
export function otherTarget(expected: number, actual: number): IntegrityError {
  return new IntegrityError(`a target of ${actual} bytes instead of ${expected}`, {
    code: 'RELEASED_PAYLOAD',
    context: { expected, actual },
    hint: 'the delta or its base is damaged: pull or copy the bundle again, and use --no-cache',
  });
}

export const isOtherTarget = (error: unknown): boolean =>
  error instanceof IntegrityError && error.code === 'RELEASED_PAYLOAD';
