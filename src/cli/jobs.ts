import { availableParallelism, totalmem } from 'node:os';

/** A machine under TCG has one vCPU, and so keeps one host CPU busy; patching and hashing keep one, too. */
const CORES_PER_JOB = 1;
/** A machine's memory and the little that is around it. */
const BYTES_PER_JOB = 4 * 2 ** 30;

export interface Host {
  readonly cores: number;
  /** Bytes. */
  readonly memory: number;
}

/** How many architectures are worked on at a time, unless --jobs says so. */
export function defaultJobs(
  { cores, memory }: Host = { cores: availableParallelism(), memory: totalmem() },
): number {
  return Math.max(1, Math.floor(Math.min(cores / CORES_PER_JOB, memory / BYTES_PER_JOB)));
}
