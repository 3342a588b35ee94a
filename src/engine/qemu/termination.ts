import type { Badness } from './badness.ts';

/** Why a VM run ended before its work was done. */
export type Cause =
  | { readonly kind: 'cancelled'; readonly signal: AbortSignal }
  /** QEMU is gone. `guest` is QMP's reason, e.g. `guest-reset`. */
  | {
      readonly kind: 'exit';
      readonly code: number;
      readonly signal: number;
      readonly guest: string | undefined;
    }
  | { readonly kind: 'badness'; readonly badness: Badness; readonly line: string }
  /** No console output at all since the start. */
  | { readonly kind: 'silence'; readonly seconds: number }
  /** Neither console output nor disk requests. */
  | { readonly kind: 'inactivity'; readonly seconds: number }
  /** No shell of the live system. */
  | { readonly kind: 'boot'; readonly seconds: number }
  /** The guest lives, but its disks do not get any further. */
  | { readonly kind: 'stuck'; readonly seconds: number; readonly written: number }
  | { readonly kind: 'disk-full'; readonly disk: string }
  | { readonly kind: 'disk-error'; readonly disk: string; readonly reason: string }
  /** QMP: the guest was stopped, e.g. `internal-error` (KVM) or `guest-panicked`. */
  | { readonly kind: 'stopped'; readonly status: string }
  | { readonly kind: 'qmp'; readonly error: unknown }
  | {
      readonly kind: 'guest';
      readonly task: string;
      readonly status: number;
      readonly output: string;
    }
  | { readonly kind: 'refused'; readonly reason: string };

/** Thrown only inside the engine; failure.ts turns it into the public error. */
export class Terminated extends Error {
  readonly terminationCause: Cause;
  constructor(cause: Cause) {
    super(cause.kind);
    this.name = 'Terminated';
    this.terminationCause = cause;
  }
}

/** The first cause wins, because later ones are usually its consequences. */
export interface Termination {
  readonly signal: AbortSignal;
  readonly cause: Cause | undefined;
  end(cause: Cause): void;
  /** Settles like `work`, or rejects with {@link Terminated} if a cause comes first. */
  race<T>(work: Promise<T>): Promise<T>;
}

export function createTermination(outer: AbortSignal | undefined): Termination & Disposable {
  const controller = new AbortController();
  let first: Cause | undefined;
  const end = (cause: Cause) => {
    if (first !== undefined) return;
    first = cause;
    controller.abort(new Terminated(cause));
  };
  const onAbort = () => outer && end({ kind: 'cancelled', signal: outer });
  if (outer?.aborted) onAbort();
  outer?.addEventListener('abort', onAbort, { once: true });
  const { signal } = controller;
  return {
    signal,
    get cause() {
      return first;
    },
    end,
    race: (work) => raceAbort(work, signal),
    [Symbol.dispose]: () => outer?.removeEventListener('abort', onAbort),
  };
}

async function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    // `work` first: a result that is there already counts, however late (kola: "late success").
    return await Promise.race([work, aborted]);
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort);
    work.catch(() => {});
  }
}
