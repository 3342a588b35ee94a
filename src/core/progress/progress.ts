import type { Arch } from '../arch.ts';

/**
 * Progress as data. The library reports it, the CLI draws it (TTY bars, plain lines, or `--json` events).
 */
export const PHASES = [
  'fetch',
  'push',
  'hash-iso',
  'boot',
  'login',
  'unpack',
  'hash',
  'poweroff',
  'check-base',
  'index',
  'read',
  'match',
  'copy',
  'patch',
  'verify',
] as const;
export type Phase = (typeof PHASES)[number];

/** The subject of an event. */
interface Subject {
  /** An artifact such as `qemu`, a base, or the engine's `x86_64 vm`. */
  readonly subject: string;
  /** Set if a run has several, because each of them has the same subjects. */
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
  /** A note for the user, e.g. that KVM failed and TCG is used instead. */
  | (Subject & { readonly type: 'note'; readonly message: string })
  | (Subject & { readonly type: 'done'; readonly seconds: number })
  /** `subject` has failed while others go on. If it is an architecture, so have all of its subjects. */
  | (Subject & { readonly type: 'failed'; readonly message: string });

export type Progress = (event: ProgressEvent) => void;

/** Adds the architecture to each event, if the run has more than one. */
export function forArch(
  progress: Progress,
  architecture: Arch,
  { several }: { readonly several: boolean },
): Progress {
  return several ? (event) => progress({ ...event, architecture }) : progress;
}

export const silent: Progress = () => {};
