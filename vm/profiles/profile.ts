import type { Arch } from '../../images/arch.ts';

/** The accelerator that executes the guest's instructions. */
export type Accel = 'kvm' | 'tcg';

/**
 * Limits in seconds, without the time in which the host gave QEMU no processor. They only stop a guest that
 * hangs; a healthy one needs a fraction of them. An unpack has no limit of its own: it goes on as long as
 * written bytes move.
 */
export interface TimeBudget {
  /** From the start of QEMU to the first byte on the console. */
  readonly firstOutput: number;
  /** From the start of QEMU to a shell of the live system. */
  readonly boot: number;
  /**
   * Neither a console byte nor a disk request for this long, or, while it unpacks, no progress: the guest is
   * considered dead.
   */
  readonly inactivity: number;
}

/**
 * All QEMU settings of one architecture. Adding an architecture means adding a profile:
 * neither vm/argv.ts nor the guest's script knows any architecture by name.
 */
export interface VmProfile {
  readonly arch: Arch;
  readonly qemu: {
    readonly binary: string;
    /** Package that brings `binary`, for the error message. */
    readonly debian: string;
    readonly fedora: string;
    /** Older major versions cannot boot this architecture's live ISO at all. */
    readonly minimumMajor: number;
  };
  readonly machine: Readonly<Record<Accel, string>>;
  readonly cpu: Readonly<Record<Accel, string>>;
  /** Kernel argument of the console that QEMU's first serial line becomes in the guest. */
  readonly consoleKarg: string;
  /** Names of QEMU's device models on this machine's bus. */
  readonly devices: { readonly disk: string; readonly rng: string };
  readonly memoryMiB: number;
  /**
   * vCPUs, if the host has as many. One under TCG: coreos-installer hands small pieces from one thread to
   * another that spins for them, and a waiting vCPU burns a host core.
   */
  readonly vcpus: Readonly<Record<Accel, number>>;
  /** Added to the ISO's own kernel arguments. Must not change what the live system does. */
  readonly kargs: Readonly<Record<Accel, readonly string[]>>;
  /** Environment of the guest's coreos-installer. Must not change what it writes. */
  readonly installerEnv?: Readonly<Partial<Record<Accel, Readonly<Record<string, string>>>>>;
  readonly seconds: Readonly<Record<Accel, TimeBudget>>;
}
