import { constants } from 'node:fs';
import { appendFile, copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pid } from 'node:process';
import { STATUS } from '../../../vm/guest/unpack.ts';
import type { Accel } from '../../../vm/profiles/index.ts';
import type { CodeOf } from '../../core/error-codes.ts';
import { cancelled, EngineError, IoError, type RehydrateError } from '../../core/errors.ts';
import { makeFolder } from '../../core/io/folders.ts';
import type { Failure } from './attempt.ts';
import type { Cause } from './termination.ts';

interface Verdict {
  readonly code: CodeOf<'engine'> | 'DISK_FULL';
  /** Completes "the VM failed in phase boot: …". */
  readonly what: string;
  readonly hint: string;
}

const SLOW =
  'if the host is only slow, use --timeout-scale 3 or --engine native; otherwise the console log shows where it hung';
const SEE_LOG = 'the console log shows what led there';

/** Describes each cause for the user. */
export function explain(
  cause: Exclude<Cause, { kind: 'cancelled' }>,
  paths: ReadonlyMap<string, string>,
): Verdict {
  switch (cause.kind) {
    case 'badness':
      return {
        code: 'VM_GUEST_FAILED',
        what: `${cause.badness.name}: ${cause.line}`,
        hint: SEE_LOG,
      };
    case 'silence':
      return { code: 'VM_SILENT', what: `no console output in ${cause.seconds} s`, hint: SLOW };
    case 'inactivity': {
      const what = `neither console output nor disk activity for ${cause.seconds} s`;
      return { code: 'VM_SILENT', what, hint: SLOW };
    }
    case 'boot': {
      const what = `the live system was not up after ${cause.seconds} s`;
      return { code: 'VM_TIMEOUT', what, hint: SLOW };
    }
    case 'stuck': {
      const what = `unpacking stopped after ${cause.written} bytes: no progress for ${cause.seconds} s`;
      return { code: 'VM_STUCK', what, hint: SLOW };
    }
    case 'stopped':
      return {
        code: 'VM_STOPPED',
        what: `QEMU stopped the guest (${cause.status})`,
        hint: SEE_LOG,
      };
    case 'refused':
      return {
        code: 'VM_NO_SHELL',
        what: cause.reason,
        hint: 'check that this is a CoreOS live ISO; the console log shows how far it booted',
      };
    case 'qmp':
      return {
        code: 'VM_QMP',
        what: `QEMU's monitor failed: ${String(cause.error)}`,
        hint: SEE_LOG,
      };
    case 'disk-full': {
      const hint = 'free some space or choose another output folder';
      return {
        code: 'DISK_FULL',
        what: `no space left for ${paths.get(cause.disk) ?? cause.disk}`,
        hint,
      };
    }
    case 'disk-error':
      return {
        code: 'VM_DISK_ERROR',
        what: `${paths.get(cause.disk) ?? cause.disk}: ${cause.reason}`,
        hint: 'check the disk: see dmesg',
      };
    case 'exit':
      return { code: 'VM_EXITED', what: describeExit(cause), hint: SEE_LOG };
    case 'guest':
      return explainGuest(cause);
  }
}

function describeExit({ code, signal, guest }: Extract<Cause, { kind: 'exit' }>): string {
  if (guest === 'guest-reset') return 'the guest rebooted';
  if (guest === 'guest-shutdown') return 'the guest powered off';
  if (signal === 9) return 'QEMU was killed (is the host out of memory?)';
  return signal ? `QEMU died of signal ${signal}` : `QEMU ended with status ${code}`;
}

function explainGuest(cause: Extract<Cause, { kind: 'guest' }>): Verdict {
  const said = cause.output.split('\n').slice(-8).join('\n');
  if (cause.status === STATUS.noOsmet || cause.status === STATUS.noRepo) {
    const hint = 'only a CoreOS live ISO that carries osmet files can be unpacked';
    return { code: 'VM_NO_OSMET', what: said, hint };
  }
  const what = `could not ${cause.task} (status ${cause.status}): ${said}`;
  return { code: 'VM_UNPACK_FAILED', what, hint: SEE_LOG };
}

export interface FailedRun {
  readonly subject: string;
  readonly accel: Accel;
  readonly logDir: string;
  /** Host path of each disk, by its id in QEMU. */
  readonly paths: ReadonlyMap<string, string>;
}

/** Keeps the console log of a failed run and makes the error that names it. */
export async function failureError(failure: Failure, run: FailedRun): Promise<RehydrateError> {
  const { cause, phase } = failure;
  if (cause.kind === 'cancelled') return cancelled(cause.signal);
  const { code, what, hint } = explain(cause, run.paths);
  const kept = await keepLog(failure, run);
  const stderr = failure.stderr.trim().slice(-1000);
  const message = [
    `${run.subject} failed in phase ${phase} (${run.accel}): ${what}`,
    ...section('QEMU says:', stderr === '' ? [] : stderr.split('\n').slice(-5)),
    ...section(
      'the guest complained before:',
      failure.complaints.map(({ badness, line }) => `${badness.name}: ${line}`),
    ),
    ...section('last console lines:', failure.lastLines),
    `console log: ${kept}`,
  ].join('\n');
  const context = { phase, accel: run.accel, consoleLog: kept, ...(stderr ? { stderr } : {}) };
  return code === 'DISK_FULL'
    ? new IoError(message, { code, context, hint })
    : new EngineError(message, { code, context, hint });
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, ...lines.map((line) => `  | ${line}`)];
}

async function keepLog(
  failure: Failure,
  run: { subject: string; logDir: string },
): Promise<string> {
  const stamp = new Date().toISOString().replace(/[:.]/g, '-');
  const name = `console-${run.subject.replace(/\W+/g, '-')}-${stamp}-${pid}.log`;
  const path = join(run.logDir, name);
  try {
    await makeFolder(run.logDir);
    await copyFile(failure.consoleLog, path, constants.COPYFILE_EXCL);
    if (failure.stderr)
      await appendFile(path, `\n--- QEMU's standard error ---\n${failure.stderr}`);
    return path;
  } catch (error) {
    // The failure itself matters more than its log.
    return `could not be kept (${error instanceof Error ? error.message : String(error)})`;
  }
}
