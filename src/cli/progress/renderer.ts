import type { Progress } from '../../core/progress/progress.ts';

/** Draws progress events until stopped. */
export interface ProgressRenderer extends Disposable {
  readonly report: Progress;
  /** Clears the status lines while `write` runs, so that results are not mixed up with them. */
  aside(write: () => void): void;
}
