import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CONSOLE_ID, type VmSpec, vmArgs } from '../../../vm/argv.ts';
import type { CpuTimes, GuestDisk } from '../../../vm/guest/unpack.ts';
import type { ResourceLimits } from '../../../vm/supervise.ts';
import { readTail } from '../../core/io/regular.ts';
import type { Phase, Progress, ProgressEvent } from '../../core/progress/progress.ts';
import { createPhases } from '../phases.ts';
import { type Complaint, createJudge } from './badness.ts';
import { createConsole } from './console.ts';
import { awaitReady, openShell, unpack } from './dialogue.ts';
import { createGuestClock, threadWaits } from './guest-clock.ts';
import { openTerminals } from './process.ts';
import {
  listenForQmp,
  type Qmp,
  type QmpEvent,
  type QmpListener,
  queryStatus,
  queryTerminal,
} from './qmp.ts';
import type { QemuProcess } from './terminals.ts';
import { type Cause, createTermination, Terminated, type Termination } from './termination.ts';
import type { HostIsolation, QemuTool } from './tool.ts';
import { type Limits, startWatch, type Work } from './watch.ts';

export interface AttemptPlan {
  readonly tool: QemuTool & HostIsolation;
  readonly vm: Omit<VmSpec, 'qmpSocket' | 'sandbox' | 'console'>;
  /** The same disks as `vm.disks`, from the guest's side. */
  readonly disks: readonly GuestDisk[];
  readonly folder: string;
  readonly limits: Limits;
  readonly ceilings: ResourceLimits;
  readonly work: Work;
  readonly subject: string;
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
}

export interface Failure {
  readonly ok: false;
  readonly cause: Cause;
  readonly phase: Phase;
  /** The guest printed something. */
  readonly spoke: boolean;
  /** Earlier complaints of the guest that did not end the run. */
  readonly complaints: readonly Complaint[];
  readonly lastLines: readonly string[];
  /** QEMU's standard error. */
  readonly stderr: string;
  /** Path of the console log, inside `folder`. */
  readonly consoleLog: string;
}

export type Outcome =
  | {
      readonly ok: true;
      readonly seconds: Readonly<Record<string, number>>;
      readonly guestCpu: ReadonlyMap<string, CpuTimes>;
    }
  | Failure;

const LAST_LINES = 15;
/** Bytes: a guest can make QEMU complain without end. */
const MAX_STDERR = 256 << 10;
/** After a panic the kernel still prints why; after that QEMU is killed. */
const LAST_WORDS_MS = 400;
/** From QEMU's closed sockets to its exit status, core dump included. */
const EXIT_MS = 5000;
const QUIT_MS = 15_000;

/** One boot under one accelerator, from QEMU's start to its end. QEMU is gone when this settles. */
export async function runAttempt(plan: AttemptPlan): Promise<Outcome> {
  const { accel } = plan.vm;
  const files = {
    console: join(plan.folder, `console-${accel}.log`),
    stderr: join(plan.folder, `qemu-${accel}.stderr`),
    qmp: join(plan.folder, `qmp-${accel}.sock`),
  };
  const phases = createPhases(plan.subject, plan.progress, 'boot');
  const total = plan.disks.reduce((sum, disk) => sum + disk.size, 0);
  using termination = createTermination(plan.signal);
  let qemu: QemuProcess | undefined;
  const clock = createGuestClock(async () => (qemu ? threadWaits(qemu.pid) : new Map()));
  const watch = startWatch(termination, clock, plan.limits, ({ written }) => {
    if (phases.current !== 'unpack') return;
    const done = plan.disks.reduce((sum, disk) => sum + (written.get(disk.serial) ?? 0), 0);
    phases.advance(Math.min(done, total), total);
  });
  let listener: QmpListener | undefined;
  let qmp: Qmp | undefined;
  let guest: string | undefined;
  let spoke = false;
  const judge = createJudge();
  const serial = createConsole({
    logPath: files.console,
    reply: (data) => qemu?.write(data),
    onLine: (line) => {
      const found = judge.take(line);
      if (found?.badness.ends) termination.end({ kind: 'badness', ...found });
      else if (found) plan.progress(noteOf(plan.subject, found));
    },
  });
  try {
    listener = await listenForQmp(files.qmp, {
      onEvent: (event) => {
        if (event.event === 'SHUTDOWN') guest = String(event.data.reason ?? '');
        judgeEvent(event, termination, () => qmp);
      },
      onError: (error) => termination.end({ kind: 'qmp', error }),
    });
    phases.enter('boot');
    const { sandbox, setpriv, unshare } = plan.tool;
    const terminals = openTerminals();
    qemu = terminals.spawn({
      binary: plan.tool.binary,
      args: vmArgs({ ...plan.vm, qmpSocket: files.qmp, sandbox, console: terminals.console }),
      cwd: plan.folder,
      supervision: { stderr: files.stderr, setpriv, unshare, limits: plan.ceilings },
      onData: (chunk) => {
        spoke = true;
        watch.touch();
        serial.receive(chunk);
      },
    });
    qemu.exited.then(({ code, signal }) => termination.end({ kind: 'exit', code, signal, guest }));
    qmp = await termination.race(listener.connected.catch(givenExit(qemu)));
    if (qemu.attach) {
      qemu.attach(await termination.race(queryTerminal(qmp, CONSOLE_ID)));
      await termination.race(qmp.execute('cont'));
    }
    watch.follow(qmp);
    const write = qemu.write;
    const type = (text: string) => {
      if (write(text)) return;
      termination.end({ kind: 'refused', reason: 'the guest does not read its console' });
    };
    const line = { console: serial, type, termination };
    await awaitReady(line);
    phases.enter('login');
    await openShell(line);
    phases.enter('unpack', total);
    watch.unpacking(plan.work);
    const { profile, accel, vcpus } = plan.vm;
    const env = profile.installerEnv?.[accel];
    const guestCpu = await unpack(line, { disks: plan.disks, env, vcpus });
    phases.advance(total, total);
    // The host has every byte now, so from here on only Ctrl-C can fail the run.
    phases.enter('poweroff');
    await quit(qemu, qmp, plan.signal);
    return { ok: true, seconds: phases.finish(), guestCpu };
  } catch (error) {
    if (!(error instanceof Terminated)) throw error;
    const cause = error.terminationCause;
    if (cause.kind === 'badness') await lastWords(qemu, plan.signal);
    qemu?.kill();
    await qemu?.exited;
    const stderr = await readTail(files.stderr, MAX_STDERR).then(String, () => '');
    const lastLines = serial.lastLines(LAST_LINES);
    const phase = phases.current;
    const { complaints } = judge;
    const consoleLog = files.console;
    return { ok: false, cause, phase, spoke, complaints, lastLines, stderr, consoleLog };
  } finally {
    watch.stop();
    qemu?.kill();
    await qemu?.exited;
    listener?.close();
    serial.close();
  }
}

function noteOf(subject: string, { badness, line }: Complaint): ProgressEvent {
  const message = `the live system complains and goes on: ${badness.name}: ${line}`;
  return { type: 'note', subject, message };
}

/** A broken connection usually means that QEMU died: then its exit is the cause to report. */
function givenExit(qemu: QemuProcess): (error: unknown) => Promise<never> {
  return async (error) => {
    await Promise.race([qemu.exited, delay(EXIT_MS)]);
    throw new Terminated({ kind: 'qmp', error });
  };
}

/** Ends the run on QEMU's events of failure. */
function judgeEvent(
  { event, data }: QmpEvent,
  termination: Termination,
  qmp: () => Qmp | undefined,
) {
  if (event === 'GUEST_PANICKED') termination.end({ kind: 'stopped', status: 'guest-panicked' });
  if (event === 'BLOCK_IO_ERROR') {
    const disk = String(data['node-name'] ?? data.device ?? '');
    const reason = `${String(data.operation)}: ${String(data.reason)}`;
    if (data.nospace === true) termination.end({ kind: 'disk-full', disk });
    else termination.end({ kind: 'disk-error', disk, reason });
  }
  if (event === 'STOP') {
    // The event does not say why. `internal-error` is KVM giving up.
    const connection = qmp();
    if (!connection) return;
    queryStatus(connection)
      .then((status) => {
        if (status === 'internal-error') termination.end({ kind: 'stopped', status });
      })
      .catch(() => {});
  }
}

async function lastWords(qemu: QemuProcess | undefined, signal: AbortSignal | undefined) {
  const patience = delay(LAST_WORDS_MS, undefined, signal ? { signal } : {}).catch(() => {});
  await Promise.race([patience, qemu?.exited]);
}

/**
 * Ends QEMU by its own `quit`, which closes the disks properly. The guest has flushed them, and its own
 * shutdown would take seconds to save a system that exists only in memory.
 */
async function quit(qemu: QemuProcess, qmp: Qmp, signal: AbortSignal | undefined) {
  using late = createTermination(signal);
  qmp.execute('quit').catch(() => {});
  const patience = delay(QUIT_MS, undefined, { ref: false });
  await late.race(Promise.race([qemu.exited, patience]));
}
