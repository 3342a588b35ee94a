import * as v from 'valibot';
import type { GuestClock } from './guest-clock.ts';
import { type DiskActivity, type Qmp, queryDiskActivity } from './qmp.ts';
import type { Termination } from './termination.ts';

/** Limits of one attempt, in seconds of the guest's clock. */
export interface Limits {
  readonly firstOutput: number;
  /** Until the live system has given us a shell. */
  readonly boot: number;
  /** Booting: nothing on the console and no disk request. Unpacking: no progress. */
  readonly inactivity: number;
  /** Bytes per second; slower reading does not count as progress. */
  readonly readRate: number;
}

/** The work of an unpack, in bytes. */
export interface Work {
  /** Of all disks. */
  readonly write: number;
  /** Of the ISO. */
  readonly read: number;
}

export interface Watch {
  /** The console said something. */
  touch(): void;
  /** Starts asking QEMU for its disk statistics. */
  follow(qmp: Qmp): void;
  /** The boot is over: from now on only progress of this work counts. */
  unpacking(work: Work): void;
  stop(): void;
}

const TICK_MS = 500;
/** A guest writes parts of a page more than once; beyond this multiple it writes in circles. */
const WRITES = 3;
/** It reads the root image to cache its files in memory, then reads again those that did not fit. */
const READS = 2;

/**
 * Ends a run that makes no progress, however slow the host is.
 *
 * - A boot has a limit, and lives within it as long as the guest prints or its disks work. Before the first
 *   output the limit is lower, because a broken accelerator shows there.
 * - An unpack has none, as long as written bytes move. Reading counts too, because the root image is read
 *   before anything is written, but at a rate and up to an amount: a guest that spins reading ends.
 */
export function startWatch(
  termination: Termination,
  clock: GuestClock,
  limits: Limits,
  onActivity: (activity: DiskActivity) => void,
): Watch {
  const started = clock.now();
  let last = started;
  let spoke = false;
  let requests = 0;
  let qmp: Qmp | undefined;
  let asking = false;
  let unpack: Unpack | undefined;
  let latest: DiskActivity = { requests: 0, read: 0, written: new Map() };

  const ask = async (source: Qmp | undefined) => {
    asking = true;
    try {
      await clock.update();
      if (source === undefined) return;
      const activity = await queryDiskActivity(source);
      if (activity.requests !== requests) last = clock.now();
      requests = activity.requests;
      latest = activity;
      unpack?.take(activity, clock.now());
      onActivity(activity);
    } catch (error) {
      // A closed connection means that QEMU ended, which its exit reports; a hung QEMU exceeds the
      // inactivity limit.
      qmp = undefined;
      if (v.isValiError(error)) termination.end({ kind: 'qmp', error });
    } finally {
      asking = false;
    }
  };

  const tick = () => {
    if (!asking) void ask(qmp);
    const now = clock.now();
    const exceeded = (since: number, limit: number) => now - since > limit * 1000;
    const { inactivity: seconds } = limits;
    if (!spoke && exceeded(started, limits.firstOutput)) {
      termination.end({ kind: 'silence', seconds: limits.firstOutput });
    } else if (exceeded(last, seconds)) {
      termination.end({ kind: 'inactivity', seconds });
    } else if (unpack !== undefined && exceeded(unpack.moved, seconds)) {
      termination.end({ kind: 'stuck', seconds, written: unpack.written });
    } else if (unpack === undefined && exceeded(started, limits.boot)) {
      termination.end({ kind: 'boot', seconds: limits.boot });
    }
  };
  const timer = setInterval(tick, TICK_MS);
  return {
    touch() {
      spoke = true;
      last = clock.now();
    },
    follow(source) {
      qmp = source;
    },
    unpacking(work) {
      unpack = createUnpack(work, limits.readRate, latest, clock.now());
    },
    stop: () => clearInterval(timer),
  };
}

interface Unpack {
  /** When it moved on, on the guest's clock. */
  readonly moved: number;
  /** Bytes since it began. */
  readonly written: number;
  take(activity: DiskActivity, now: number): void;
}

const writtenBy = ({ written }: DiskActivity) =>
  [...written.values()].reduce((sum, bytes) => sum + bytes, 0);

function createUnpack(work: Work, readRate: number, first: DiskActivity, now: number): Unpack {
  let moved = now;
  let written = 0;
  let read = 0;
  return {
    get moved() {
      return moved;
    },
    get written() {
      return written;
    },
    take(activity, now) {
      const more = Math.min(writtenBy(activity) - writtenBy(first), work.write * WRITES) - written;
      const fetched = Math.min(activity.read - first.read, work.read * READS) - read;
      written += Math.max(0, more);
      read += Math.max(0, fetched);
      // Bytes that were read buy the time that a slow guest takes for them, and no more.
      if (more > 0) moved = now;
      else if (fetched > 0) moved = Math.min(now, moved + (fetched / readRate) * 1000);
    },
  };
}
