import type { Arch } from '../arch.ts';

/**
 * Progress as data. The library reports, the CLI draws (TTY bars, plain lines, or `--json` events).
 */
export type Phase =
  | 'fetch'
  | 'push'
  | 'hash-iso'
  | 'boot'
  | 'login'
  | 'unpack'
  | 'hash'
  | 'poweroff'
  | 'check-base'
  | 'index'
  | 'read'
  | 'match'
  | 'copy'
  | 'patch'
  | 'verify';

/** Whom an event is about. */
interface Subject {
  /** An artifact such as `qemu`, a base, or the engine's `x86_64 vm`. */
  readonly subject: string;
  /** Set where a run has several: the same subjects come up in each. */
  readonly architecture?: Arch;
}

export type ProgressEvent =
  /** `subject` entered a phase. */
  | (Subject & { readonly type: 'phase'; readonly phase: Phase; readonly total?: number })
  /** Bytes done within the current phase of `subject`. Callers may send these as often as they like. */
  | (Subject & {
      readonly type: 'advance';
      readonly phase: Phase;
      readonly done: number;
      readonly total?: number;
    })
  /** Something the user should read, e.g. that KVM died and TCG took over. */
  | (Subject & { readonly type: 'note'; readonly message: string })
  | (Subject & { readonly type: 'done'; readonly seconds: number })
  /** `architecture` has failed while others go on: no more will come of its subjects. */
  | (Subject & { readonly type: 'failed'; readonly message: string });

export type Progress = (event: ProgressEvent) => void;

/** Tells the architecture with each event, if there is more than one in the run. */
export function forArch(progress: Progress, architecture: Arch, several: boolean): Progress {
  return several ? (event) => progress({ ...event, architecture }) : progress;
}

export const silent: Progress = () => {};
