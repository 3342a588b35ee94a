import { readdir, readFile } from 'node:fs/promises';

/** Nanoseconds that each thread of a process has waited for a processor, by its id. */
export type ThreadWaits = ReadonlyMap<string, number>;

export interface GuestClock {
  /** Milliseconds. Stands still while the host gives the guest no processor. */
  now(): number;
  /** Reads how much time the host has withheld since the last call. */
  update(): Promise<void>;
}

/**
 * The time by which a guest is judged. On a host with more work than processors a healthy guest gets a
 * fraction of one: it is not the guest's fault, so the time in which QEMU was ready to run and did not
 * is left out. An idle guest is not ready to run, so its clock goes on.
 */
export function createGuestClock(readWaits: () => Promise<ThreadWaits>): GuestClock {
  let waits: ThreadWaits | undefined;
  let since = performance.now();
  let withheld = 0;
  return {
    now: () => performance.now() - withheld,
    async update() {
      const next = await readWaits();
      const now = performance.now();
      if (waits !== undefined) {
        // Of several threads the one that waited longest held the guest up; it cannot be for longer than it took.
        const longest = Math.max(0, ...[...next].map(([id, ns]) => ns - (waits?.get(id) ?? ns)));
        withheld += Math.min(longest / 1e6, now - since);
      }
      waits = next;
      since = now;
    },
  };
}

/**
 * Linux `/proc/PID/task/TID/schedstat` (Documentation/scheduler/sched-stats.rst): time run, time waited for a
 * processor, number of turns. Empty where the kernel does not say or the process is gone.
 */
export async function threadWaits(pid: number): Promise<ThreadWaits> {
  const folder = `/proc/${pid}/task`;
  const threads = await readdir(folder).catch(() => []);
  const waits = await Promise.all(
    threads.map(async (id) => {
      const text = await readFile(`${folder}/${id}/schedstat`, 'latin1').catch(() => '');
      const waited = Number(text.split(' ')[1]);
      return text !== '' && Number.isFinite(waited) ? [[id, waited] as const] : [];
    }),
  );
  return new Map(waits.flat());
}
