/**
 * Progress as data. The library reports, the CLI draws (TTY bars, plain lines, or `--json` events).
 */
export type Phase =
  | 'hash-iso'
  | 'boot'
  | 'login'
  | 'unpack'
  | 'poweroff'
  | 'check-base'
  | 'index'
  | 'match'
  | 'copy'
  | 'patch'
  | 'verify';

export type ProgressEvent =
  /** `subject` (an artifact such as `qemu`, or the engine's `x86_64 vm`) entered a phase. */
  | {
      readonly type: 'phase';
      readonly subject: string;
      readonly phase: Phase;
      readonly total?: number;
    }
  /** Bytes done within the current phase of `subject`. Callers may send these as often as they like. */
  | {
      readonly type: 'advance';
      readonly subject: string;
      readonly phase: Phase;
      readonly done: number;
      readonly total?: number;
    }
  /** Something the user should read, e.g. that KVM died and TCG took over. */
  | { readonly type: 'note'; readonly subject: string; readonly message: string }
  | { readonly type: 'done'; readonly subject: string; readonly seconds: number };

export type Progress = (event: ProgressEvent) => void;

export const silent: Progress = () => {};
