import type { Phase, Progress } from './progress.ts';

export interface Step {
  readonly subject: string;
  readonly phase: Phase;
  /** Bytes, where known. */
  readonly total?: number | undefined;
}

/**
 * Runs `body` as one phase of a subject: reports its start, its bytes (through `onBytes`, bytes done
 * so far) and, if it succeeds, its end. Resolves to the result and the seconds it took.
 */
export async function step<T>(
  progress: Progress,
  { subject, phase, total }: Step,
  body: (onBytes: (done: number) => void) => Promise<T>,
): Promise<{ result: T; seconds: number }> {
  const known = total === undefined ? {} : { total };
  progress({ type: 'phase', subject, phase, ...known });
  const started = performance.now();
  const result = await body((done) => {
    progress({ type: 'advance', subject, phase, done, ...known });
  });
  const seconds = (performance.now() - started) / 1000;
  progress({ type: 'done', subject, seconds });
  return { result, seconds };
}

/** Like {@link step}, for callers that need only the result. */
export async function inPhase<T>(
  progress: Progress,
  what: Step,
  body: (onBytes: (done: number) => void) => Promise<T>,
): Promise<T> {
  return (await step(progress, what, body)).result;
}
