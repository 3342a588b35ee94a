import type { Writable } from 'node:stream';
import type { CreateEngineOptions } from '../engine/choose.ts';
import type { MetalEngine } from '../engine/engine.ts';

/** Everything outside the program, besides files, that a command may use. */
export interface CliIo {
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Where bytes on stdout are useless. */
  readonly stdoutIs?: 'terminal' | 'closed' | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of this process. */
  readonly pid: number;
  /** Node's `os.arch()` spelling or CoreOS's. */
  readonly hostArch: string;
  /** Node and its libraries, as in `process.versions`. */
  readonly versions: Readonly<Record<string, string | undefined>>;
  /** Whether stderr is a terminal that understands cursor movement. */
  readonly isTerminal: boolean;
  /** Width of that terminal, read for each redraw. */
  readonly columns: () => number;
  readonly signal: AbortSignal;
  readonly createEngine: (options: CreateEngineOptions) => MetalEngine;
}
