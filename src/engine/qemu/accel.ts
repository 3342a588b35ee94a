import { open } from 'node:fs/promises';
import type { Accel } from '../../../vm/profiles/index.ts';
import type { Arch } from '../../core/arch.ts';
import { ToolError } from '../../core/errors.ts';
import { errnoOf } from '../../core/io/os-error.ts';
import type { Failure } from './attempt.ts';

export type AccelChoice = 'auto' | Accel;

/** Accelerators to try, in order. */
export interface Ladder {
  readonly steps: readonly Accel[];
  /** Why TCG was chosen without trying KVM; undefined if it was requested. */
  readonly why: string | undefined;
}

/**
 * @param kvmProblem why /dev/kvm does not open, `undefined` if it does
 * @throws ToolError if KVM is required but not available
 */
export function chooseLadder(
  choice: AccelChoice,
  facts: {
    readonly guest: Arch;
    readonly host: Arch | undefined;
    readonly kvmProblem: string | undefined;
  },
): Ladder {
  if (choice === 'tcg') return { steps: ['tcg'], why: undefined };
  const foreign = facts.guest !== facts.host;
  const problem = foreign ? `the host is ${facts.host ?? 'unknown'}` : facts.kvmProblem;
  if (choice === 'kvm') {
    if (problem === undefined) return { steps: ['kvm'], why: undefined };
    throw new ToolError(`KVM cannot run ${facts.guest} guests here: ${problem}`, {
      code: 'KVM_UNAVAILABLE',
      context: { guest: facts.guest, host: facts.host },
      hint: foreign
        ? 'use --accel auto or --accel tcg, or --engine native, which needs no VM'
        : 'give your user access to /dev/kvm (group kvm), or use --accel tcg, or --engine native, which needs no VM',
    });
  }
  return problem === undefined
    ? { steps: ['kvm', 'tcg'], why: undefined }
    : { steps: ['tcg'], why: problem };
}

/** Why KVM is not available; `undefined` if the device opens, which does not prove that it works. */
export async function probeKvm(device = '/dev/kvm'): Promise<string | undefined> {
  try {
    await (await open(device, 'r+')).close();
    return undefined;
  } catch (error) {
    const errno = errnoOf(error) ?? String(error);
    return errno === 'ENOENT' ? `there is no ${device}` : `${device} does not open (${errno})`;
  }
}

const KVM_COMPLAINTS =
  /failed to set MSR \S+|KVM internal error[^\n]*|kvm_buf_set_msrs[^\n]*Assertion[^\n]*|KVM: entry failed[^\n]*|error: kvm run failed[^\n]*|(?:ioctl\(KVM_\w+\)|KVM_\w+) failed[^\n]*|failed to initialize kvm[^\n]*|Could not access KVM kernel module[^\n]*/i;

/**
 * The symptom, for the user, that suggests that KVM and not the guest made a run fail; `undefined` if TCG
 * would fail in the same way.
 *
 * This happens on hosts whose own hypervisor offers a /dev/kvm that does not work: QEMU aborts when
 * it sets the first register, or stops the guest with an internal error, or the guest hangs.
 */
export function kvmSymptom(failure: Failure): string | undefined {
  const { cause, stderr, spoke, phase } = failure;
  if (cause.kind === 'cancelled' || cause.kind === 'disk-full') return undefined;
  const complaint = KVM_COMPLAINTS.exec(stderr)?.[0];
  if (complaint !== undefined) return complaint.trim().slice(0, 120);
  if (cause.kind === 'stopped' && cause.status === 'internal-error') return 'KVM internal error';
  if (phase !== 'boot') return undefined;
  if (cause.kind === 'silence') return `no sign of life in ${cause.seconds} s`;
  if (cause.kind === 'inactivity') return `hung for ${cause.seconds} s while booting`;
  if (cause.kind !== 'exit') return undefined;
  // A guest that resets or powers off was alive; if QEMU dies by itself, the guest did not cause it.
  if (cause.signal !== 0 || cause.code > 128)
    return `QEMU died (signal ${cause.signal || cause.code - 128})`;
  return spoke ? undefined : `QEMU ended with status ${cause.code} before the guest spoke`;
}
