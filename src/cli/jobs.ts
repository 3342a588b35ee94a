import { availableParallelism, totalmem } from 'node:os';

/** The memory of a VM and of QEMU around it. */
const BYTES_PER_BOOT = 4 * 2 ** 30;
/** Memory that every run needs, however little it does: Node, the threads, an index of each base. */
const BYTES_PER_RUN = 384 << 20;
/** Additional memory for each artifact: windows, grains in flight, a decompressor with its dictionary. */
const BYTES_PER_ARTIFACT = 256 << 20;
/** A part of the host's memory that others can do without. */
const SHARE = 1 / 4;

export interface Host {
  readonly cores: number;
  /** Bytes. */
  readonly memory: number;
}

export interface Workload {
  /** Artifacts that are worked on at a time. */
  readonly jobs: number;
  /** Architectures that are, because each may need a VM. */
  readonly boots: number;
}

export interface WorkloadOptions {
  readonly jobs?: number | undefined;
  /** Bytes. */
  readonly memory?: number | undefined;
}

const thisHost = (): Host => ({ cores: availableParallelism(), memory: totalmem() });

/** `--jobs`, or one artifact per core, as many as fit into `--memory`. */
export function workloadOf({ jobs, memory }: WorkloadOptions, host: Host = thisHost()): Workload {
  const room = (memory ?? host.memory * SHARE) - BYTES_PER_RUN;
  const fitting = Math.max(1, Math.floor(room / BYTES_PER_ARTIFACT));
  // Without a memory limit, --jobs is taken as given; otherwise the limit applies too.
  const wanted = jobs ?? host.cores;
  const atATime = jobs !== undefined && memory === undefined ? wanted : Math.min(wanted, fitting);
  const boots = Math.max(1, Math.min(atATime, Math.floor(host.memory / BYTES_PER_BOOT)));
  return { jobs: atATime, boots };
}
