import type { Progress } from '../../core/progress/progress.ts';

/** Draws progress events until stopped. */
export interface ProgressRenderer extends Disposable {
  readonly report: Progress;
  /** Runs `write` with the status lines out of its way, so that results do not tangle with them. */
  aside(write: () => void): void;
}
