import type { Phase, Progress } from '../core/progress/progress.ts';

/** Reports the phases of a run and records their times. */
export interface Phases {
  readonly current: Phase;
  enter(phase: Phase, total?: number): void;
  advance(done: number, total: number): void;
  /** Wall-clock seconds of each phase. */
  finish(): Record<string, number>;
}

export function createPhases(subject: string, progress: Progress, first: Phase): Phases {
  const seconds: Record<string, number> = {};
  let current: Phase = first;
  let since = performance.now();
  let entered = false;
  const close = () => {
    const now = performance.now();
    if (entered) seconds[current] = Math.round(now - since) / 1000;
    since = now;
  };
  return {
    get current() {
      return current;
    },
    enter(phase, total) {
      close();
      entered = true;
      current = phase;
      progress({ type: 'phase', subject, phase, ...(total === undefined ? {} : { total }) });
    },
    advance(done, total) {
      progress({ type: 'advance', subject, phase: current, done, total });
    },
    finish() {
      close();
      entered = false;
      return { ...seconds };
    },
  };
}
