import { PROFILES } from '../../../vm/profiles/index.ts';
import { ARCHITECTURES, type Arch } from '../../core/arch.ts';
import { ToolError } from '../../core/errors.ts';
import { probeKvm } from './accel.ts';
import { openTerminals } from './process.ts';
import { findQemu, type HostIsolation, probeIsolation } from './tool.ts';

/** QEMU for guests of one architecture. */
export interface QemuOnHost {
  readonly architecture: Arch;
  readonly binary: string;
  /** e.g. `10.0.2`; undefined if it cannot be used. */
  readonly version?: string;
  /** Whether it was built with seccomp, so that it can neither start programs nor change its user. */
  readonly seccomp?: boolean;
  /** Why it cannot be used. */
  readonly problem?: string;
}

/** What this host offers to the engine that boots. */
export interface QemuHost {
  /** Why there is no KVM; undefined if its device opens. */
  readonly kvmProblem?: string;
  readonly qemus: readonly QemuOnHost[];
  readonly isolation: HostIsolation;
  /** Whose terminal the guest's console is on: node-pty's, or one that QEMU makes. */
  readonly console: 'stdio' | 'pty';
}

export async function inspectQemuHost(): Promise<QemuHost> {
  const qemus: QemuOnHost[] = [];
  for (const architecture of ARCHITECTURES) {
    const profile = PROFILES[architecture];
    const { binary } = profile.qemu;
    try {
      const { version, sandbox } = await findQemu(profile);
      qemus.push({ architecture, binary, version, seccomp: sandbox });
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      qemus.push({ architecture, binary, problem: error.message });
    }
  }
  const kvmProblem = await probeKvm();
  return {
    ...(kvmProblem === undefined ? {} : { kvmProblem }),
    qemus,
    isolation: await probeIsolation(),
    console: openTerminals().console,
  };
}
