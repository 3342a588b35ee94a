import type { Writable } from 'node:stream';
import type { CreateEngineOptions } from '../engine/choose.ts';
import type { MetalEngine } from '../engine/engine.ts';

/** All that a command may touch of the outside world besides files. */
export interface CliIo {
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Node's `os.arch()` spelling or CoreOS's. */
  readonly hostArch: string;
  /** Node and the libraries in it, as `process.versions` has them. */
  readonly versions: Readonly<Record<string, string | undefined>>;
  /** Whether stderr is a terminal that understands cursor movement. */
  readonly isTerminal: boolean;
  /** Width of that terminal; asked for at each drawing. */
  readonly columns: () => number;
  readonly signal: AbortSignal;
  readonly createEngine: (options: CreateEngineOptions) => MetalEngine;
}
