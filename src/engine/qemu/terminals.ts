import type { ConsoleKind } from '../../../vm/argv.ts';
import type { Supervision } from '../../../vm/supervise.ts';

export interface QemuProcess {
  readonly pid: number;
  /** Types on the guest's console without waiting; false if the guest does not read its input. */
  write(data: string): boolean;
  /** Resolves once QEMU is gone and its last output was delivered. */
  readonly exited: Promise<{ readonly code: number; readonly signal: number }>;
  kill(): void;
  /** Opens the terminal that QEMU has made for the console, where it does. */
  readonly attach?: (terminal: string) => void;
}

export interface SpawnOptions {
  readonly binary: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly supervision: Omit<Supervision, 'parentPid' | 'lifeline'>;
  readonly onData: (chunk: Uint8Array) => void;
}

/** A way to the guest's serial line. */
export interface Terminals {
  /** The console to name in QEMU's arguments. */
  readonly console: ConsoleKind;
  /**
   * Starts QEMU as the leader of a session of its own.
   *
   * Must be called on a thread that outlives QEMU, because to the kernel the end of the forking thread is the
   * death of the parent.
   */
  readonly spawn: (options: SpawnOptions) => QemuProcess;
}
