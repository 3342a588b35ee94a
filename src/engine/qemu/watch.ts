import { type DiskActivity, type Qmp, queryDiskActivity } from './qmp.ts';
import type { Termination } from './termination.ts';

/** Limits of one attempt, in seconds. */
export interface Limits {
  readonly firstOutput: number;
  readonly inactivity: number;
  readonly total: number;
}

export interface Watch {
  /** The console said something. */
  touch(): void;
  /** Starts asking QEMU for its disk statistics. */
  follow(qmp: Qmp): void;
  stop(): void;
}

const TICK_MS = 500;

/**
 * Ends a run that makes no progress. A guest lives as long as it prints or its disks work, within a total
 * limit; before the first output the limit is lower, because a broken accelerator shows there.
 */
export function startWatch(
  termination: Termination,
  limits: Limits,
  onActivity: (activity: DiskActivity) => void,
): Watch {
  const started = performance.now();
  let last = started;
  let spoke = false;
  let requests = 0;
  let qmp: Qmp | undefined;
  let asking = false;

  const ask = async (source: Qmp) => {
    asking = true;
    try {
      const activity = await queryDiskActivity(source);
      if (activity.requests !== requests) last = performance.now();
      requests = activity.requests;
      onActivity(activity);
    } catch {
      // A closed connection means that QEMU ended, which its exit reports; a hung QEMU exceeds the
      // inactivity limit.
      qmp = undefined;
    } finally {
      asking = false;
    }
  };

  const tick = () => {
    if (qmp && !asking) void ask(qmp);
    const now = performance.now();
    const exceeded = (since: number, limit: number) => now - since > limit * 1000;
    if (!spoke && exceeded(started, limits.firstOutput)) {
      termination.end({ kind: 'silence', seconds: limits.firstOutput });
    } else if (exceeded(last, limits.inactivity)) {
      termination.end({ kind: 'inactivity', seconds: limits.inactivity });
    } else if (exceeded(started, limits.total)) {
      termination.end({ kind: 'total', seconds: limits.total });
    }
  };
  const timer = setInterval(tick, TICK_MS);
  return {
    touch() {
      spoke = true;
      last = performance.now();
    },
    follow(source) {
      qmp = source;
    },
    stop: () => clearInterval(timer),
  };
}
