import { availableParallelism, totalmem } from 'node:os';

/** A VM under TCG has one vCPU, which keeps one host CPU busy; patching and hashing take another. */
const CORES_PER_JOB = 1;
/** The memory of a VM and of QEMU around it. */
const BYTES_PER_JOB = 4 * 2 ** 30;

export interface Host {
  readonly cores: number;
  /** Bytes. */
  readonly memory: number;
}

/** Default for --jobs: how many architectures to work on at a time. */
export function defaultJobs(
  { cores, memory }: Host = { cores: availableParallelism(), memory: totalmem() },
): number {
  return Math.max(1, Math.floor(Math.min(cores / CORES_PER_JOB, memory / BYTES_PER_JOB)));
}
