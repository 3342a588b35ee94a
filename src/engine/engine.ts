import type { MetalVariant } from '../../images/platforms.ts';
import type { CpuTimes } from '../../vm/guest/unpack.ts';
import type { Sha256 } from '../core/io/digest.ts';
import type { Progress } from '../core/progress/progress.ts';
import type { LiveIso, OsmetEntry } from '../formats/iso/live-iso.ts';

/** One metal disk to regenerate. The engine creates `output`; it must not exist before. */
export interface MetalDisk {
  readonly osmet: OsmetEntry;
  /** Path of the raw disk to write. Left in place only if `regenerate` resolves. */
  readonly output: string;
}

export interface RegenerateRequest {
  readonly iso: LiveIso;
  /** metal and metal4k together cost one boot. */
  readonly disks: readonly MetalDisk[];
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
}

export interface EngineReport {
  /** The engine that made the disks; `both`: each did, with the same result; `files`: none was needed. */
  readonly engine: 'qemu' | 'native' | 'both' | 'files';
  /** e.g. `qemu 10.0.2, tcg (kvm failed: …)`. For people. */
  readonly detail: string;
  /** Wall-clock seconds of each phase: boot, login, unpack, poweroff… */
  readonly seconds: Readonly<Record<string, number>>;
  /** Processor time in the guest for each disk. An engine without a guest has none. */
  readonly guestCpu?: Readonly<Partial<Record<MetalVariant, CpuTimes>>>;
  /**
   * SHA-256 of outputs that this process itself read back from the complete file. Never a digest that a
   * program of the ISO reports.
   */
  readonly digests?: Readonly<Partial<Record<MetalVariant, Sha256>>>;
}

/**
 * Turns a live ISO into metal disks. Resolves once every `output` is complete and flushed. The caller reads
 * each disk once to check its SHA-256 (`osmet.checksum`), unless the engine has read it back in this
 * process (`digests`): a guest is never trusted.
 */
export interface MetalEngine {
  readonly name: 'qemu' | 'native' | 'both' | 'auto';
  /** Whether the user has chosen it, as opposed to the default. */
  readonly named?: boolean | undefined;
  regenerate(request: RegenerateRequest): Promise<EngineReport>;
}
