import { expect, test } from 'vitest';
import type { AuditReport, ReportedError } from './report.ts';
import { auditFailure, countStatuses, worstOf } from './verdict.ts';

type Judged = Pick<
  AuditReport['architectures'][number]['artifacts'][number],
  'status' | 'label' | 'error'
>;

/** The first line of what an audit says in the end. */
function headlineOf(artifacts: readonly Judged[]): string | undefined {
  const architectures = [{ architecture: 'x86_64', artifacts }] as AuditReport['architectures'];
  const counts = countStatuses(architectures);
  const verdict = worstOf(counts);
  return auditFailure({ counts, verdict, architectures }, 'see the report')?.message.split('\n')[0];
}

const failed = (label: string, message: string): Judged => {
  const error: ReportedError = { kind: 'tool', code: 'QEMU_MISSING', message, causes: [] };
  return { status: 'FAIL', label, error };
};
const good: Judged = { status: 'GOOD', label: 'metal/iso' };

test('the headline of an audit begins with the cause', () => {
  expect(headlineOf([good])).toBeUndefined();
  expect(headlineOf([failed('qemu', 'QEMU is missing\nsearched in /bin'), good])).toBe(
    'x86_64 qemu: QEMU is missing (1 FAIL; 1 GOOD)',
  );
  // One cause of all of them is named once.
  expect(headlineOf([failed('qemu', 'QEMU is missing'), failed('aws', 'QEMU is missing')])).toBe(
    'QEMU is missing (2 FAIL; 0 GOOD)',
  );
  expect(headlineOf([failed('qemu', 'no room'), failed('aws', 'cut off'), good])).toBe(
    'x86_64 qemu: no room, and 1 other reason (2 FAIL; 1 GOOD)',
  );
  const bad: Judged = { ...failed('gcp', 'has another SHA-256'), status: 'BAD' };
  expect(headlineOf([failed('qemu', 'no room'), bad])).toBe(
    'x86_64 gcp: has another SHA-256 (1 BAD, 1 FAIL; 0 GOOD)',
  );
});
