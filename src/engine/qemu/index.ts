import { availableParallelism, arch as nodeArch } from 'node:os';
import { resolve } from 'node:path';
import { availableMemory } from 'node:process';
import { type DiskSpec, ISO_NODE, kernelCommandLine } from '../../../vm/argv.ts';
import { type Accel, PROFILES, type VmProfile } from '../../../vm/profiles/index.ts';
import { type Arch, parseArch } from '../../core/arch.ts';
import { EngineError, FormatError, UsageError } from '../../core/errors.ts';
import { silent } from '../../core/progress/progress.ts';
import { noKargs } from '../../formats/iso/kargs.ts';
import type { EngineReport, MetalDisk, MetalEngine, RegenerateRequest } from '../engine.ts';
import { createOutputs } from '../outputs.ts';
import { type AccelChoice, chooseLadder, kvmSymptom, probeKvm } from './accel.ts';
import { type AttemptPlan, runAttempt } from './attempt.ts';
import { ceilingsFor } from './ceilings.ts';
import { emulationHint } from './emulation.ts';
import { failureError } from './failure.ts';
import { guestMemory } from './guest-memory.ts';
import { findQemu, probeIsolation, WANTED_MAJOR } from './tool.ts';
import type { Limits } from './watch.ts';
import { createWorkdir } from './workdir.ts';

export type { AccelChoice } from './accel.ts';

export interface QemuEngineOptions {
  readonly accel: AccelChoice;
  /** Folder for the console logs of failed runs; created when needed. */
  readonly logDir: string;
  /** Path of the QEMU to use instead of the one on the search path. */
  readonly qemu?: string | undefined;
  /** Overrides of the profile. */
  readonly memoryMiB?: number | undefined;
  readonly vcpus?: number | undefined;
  /** Seconds without a sign of life or, while it unpacks, without progress until a guest counts as dead. */
  readonly inactivitySeconds?: number | undefined;
  /** The native engine can be used instead: a hint says so before a long emulated boot. */
  readonly hasAlternative?: boolean | undefined;
  /** Multiplies every time limit; for hosts that are slower than the profiles expect. */
  readonly timeoutScale?: number | undefined;
}

/**
 * The engine that boots the live ISO in QEMU and lets its own coreos-installer unpack the metal disks. One
 * boot serves all disks of a request. Errors: {@link ToolError} (no QEMU, no KVM), {@link EngineError} (the
 * VM failed; `context.consoleLog` is the path of its console log), {@link IoError}, {@link CancelledError}.
 * No QEMU and no temporary file is ever left behind, and outputs exist only after success.
 */
export function createQemuEngine(options: QemuEngineOptions): MetalEngine {
  return { name: 'qemu', regenerate: (request) => regenerate(options, request) };
}

async function regenerate(
  options: QemuEngineOptions,
  request: RegenerateRequest,
): Promise<EngineReport> {
  const { iso, signal, progress = silent } = request;
  const started = performance.now();
  const profile = PROFILES[iso.arch];
  const subject = `${iso.arch} vm`;
  const note = (message: string) => progress({ type: 'note', subject, message });
  const disks = request.disks.map((disk) => ({ ...disk, output: resolve(disk.output) }));
  checkDisks(disks);
  const { kargs } = iso;
  if (kargs === undefined) throw noKargs(iso.path, iso.volumeId);
  const named = options.qemu?.includes('/') ? resolve(options.qemu) : options.qemu;
  const tool = { ...(await findQemu(profile, named)), ...(await probeIsolation()) };
  if (tool.major < WANTED_MAJOR)
    note(`QEMU ${tool.version} is old; ${WANTED_MAJOR} or newer is recommended`);
  const ladder = chooseLadder(options.accel, {
    guest: iso.arch,
    host: hostArch(),
    kvmProblem: await probeKvm(),
  });
  if (ladder.why && iso.arch === hostArch())
    note(`no KVM: ${ladder.why}; using TCG, which is slow`);

  await using workdir = await createWorkdir(iso, signal);
  await using outputs = await createOutputs(disks);
  const guestDisks = disks.map(({ osmet }) => ({
    serial: serialOf(osmet.variant),
    osmet: osmet.name,
    size: osmet.diskSize,
    sectorSize: osmet.sectorSize,
    mapped: osmet.mappedBytes,
  }));
  const memoryMiB =
    options.memoryMiB ??
    guestMemory(profile.memoryMiB, {
      mapped: Math.max(0, ...disks.map(({ osmet }) => osmet.mappedBytes)),
      free: availableMemory(),
    });
  const ceilings = ceilingsFor(
    memoryMiB,
    disks.map(({ osmet }) => osmet.diskSize),
  );
  const planFor = (accel: Accel): AttemptPlan => ({
    ...{ tool, ceilings },
    vm: {
      ...{ profile, accel, memoryMiB },
      vcpus: options.vcpus ?? Math.min(profile.vcpus[accel], availableParallelism()),
      kernel: workdir.kernel,
      initrd: workdir.initrd,
      append: kernelCommandLine(kargs, profile, accel),
      iso: resolve(iso.path),
      disks: disks.map(diskSpec),
    },
    disks: guestDisks,
    folder: workdir.path,
    limits: limitsFor(profile, accel, options),
    work: {
      write: disks.reduce((sum, { osmet }) => sum + osmet.diskSize, 0),
      read: iso.size,
    },
    subject,
    progress,
    signal,
  });

  let kvmDied: string | undefined;
  const hint = emulationHint(
    iso.arch,
    disks.map(({ osmet }) => osmet.diskSize),
  );
  for (const accel of ladder.steps) {
    if (accel === 'tcg' && hint && options.hasAlternative) note(hint);
    const outcome = await runAttempt(planFor(accel));
    if (outcome.ok) {
      await outputs.sync();
      outputs.keep();
      progress({ type: 'done', subject, seconds: (performance.now() - started) / 1000 });
      const why = kvmDied ? ` (kvm failed: ${kvmDied})` : '';
      return {
        engine: 'qemu',
        detail: `qemu ${tool.version}, ${accel}${why}`,
        seconds: outcome.seconds,
        guestCpu: Object.fromEntries(
          disks.flatMap(({ osmet: { variant } }) => {
            const times = outcome.guestCpu.get(serialOf(variant));
            return times ? [[variant, times]] : [];
          }),
        ),
      };
    }
    const symptom = accel === 'kvm' ? kvmSymptom(outcome) : undefined;
    if (symptom === undefined || accel === ladder.steps.at(-1)) {
      const paths = new Map([
        [ISO_NODE, iso.path],
        ...disks.map(({ osmet, output }) => [serialOf(osmet.variant), output] as const),
      ]);
      const error = await failureError(outcome, { subject, accel, paths, logDir: options.logDir });
      throw symptom === undefined ? error : kvmError(symptom, error);
    }
    kvmDied = symptom;
    note(`KVM opens but does not work here (${symptom}); trying again under TCG, which is slower`);
    await outputs.reset();
  }
  throw new EngineError('no accelerator left to try', { code: 'KVM_FAILED' });
}

function kvmError(symptom: string, cause: Error & { readonly context?: object }): EngineError {
  return new EngineError(`KVM opens but does not work on this host: ${symptom}\n${cause.message}`, {
    code: 'KVM_FAILED',
    context: { ...cause.context },
    hint: 'use --accel auto or --accel tcg, or --engine native, which needs no VM',
    cause,
  });
}

/** Checks names, which go into the guest's shell (quoted), and sizes, which go into QEMU's command line. */
function checkDisks(disks: readonly MetalDisk[]): void {
  if (disks.length === 0) throw new UsageError('no disk to regenerate', { code: 'NO_DISKS' });
  for (const { osmet } of disks) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._+-]{0,200}$/.test(osmet.name)) {
      throw new FormatError(`unexpected name of an osmet file: ${JSON.stringify(osmet.name)}`, {
        code: 'OSMET_NAME',
        context: { name: osmet.name },
      });
    }
    const sectors = osmet.diskSize / osmet.sectorSize;
    if (![512, 4096].includes(osmet.sectorSize) || !Number.isSafeInteger(sectors) || sectors <= 0) {
      throw new FormatError(
        `${osmet.name}: ${osmet.diskSize} bytes is not a whole number of sectors`,
        {
          code: 'OSMET_SIZE',
          context: { name: osmet.name, diskSize: osmet.diskSize, sectorSize: osmet.sectorSize },
        },
      );
    }
  }
  if (new Set(disks.map(({ osmet }) => osmet.variant)).size !== disks.length) {
    throw new UsageError('two disks of the same kind in one request', { code: 'DISK_TWICE' });
  }
}

const serialOf = (variant: string) => `rehydrate-${variant}`;

function diskSpec({ osmet, output }: MetalDisk): DiskSpec {
  return { id: serialOf(osmet.variant), path: output, sectorSize: osmet.sectorSize };
}

/** Bytes a second that a guest reads of its root image, decompressing, at the very least. */
const SLOWEST_READING = 256 << 10;

function limitsFor(profile: VmProfile, accel: Accel, options: QemuEngineOptions): Limits {
  const scale = options.timeoutScale ?? 1;
  const budget = profile.seconds[accel];
  const inactivity = options.inactivitySeconds ?? budget.inactivity * scale;
  return {
    firstOutput: Math.min(budget.firstOutput * scale, inactivity),
    inactivity,
    boot: budget.boot * scale,
    readRate: SLOWEST_READING / scale,
  };
}

/** The host's architecture in CoreOS spelling; undefined if there is no profile for it. */
function hostArch(): Arch | undefined {
  try {
    return parseArch(nodeArch());
  } catch {
    return undefined;
  }
}
