import { type ErrorKind, KINDS_WORST_FIRST, kindError, RehydrateError } from '../../core/errors.ts';
import { ours } from '../../core/foreign-error.ts';
import { reportable } from '../../core/text/printable.ts';
import type { AuditedArchitecture, AuditReport, ReportedError, Status } from './report.ts';

export const WORST_FIRST: readonly Status[] = ['BAD', 'FAIL', 'UNCOVERED', 'GOOD'];

const CODES = { BAD: 'AUDIT_BAD', FAIL: 'AUDIT_FAIL', UNCOVERED: 'AUDIT_UNCOVERED' } as const;

export function countStatuses(
  architectures: readonly Pick<AuditedArchitecture, 'artifacts'>[],
): Record<Status, number> {
  const counts = { GOOD: 0, BAD: 0, FAIL: 0, UNCOVERED: 0 };
  for (const { artifacts } of architectures) for (const { status } of artifacts) counts[status]++;
  return counts;
}

export function worstOf(counts: Readonly<Record<Status, number>>): Status {
  return WORST_FIRST.find((status) => counts[status] > 0) ?? 'GOOD';
}

/** A signature that proves nothing, or that is not there, says nothing about the bytes. */
const UNPROVED: ReadonlySet<string> = new Set([
  'SIGNATURE_EXPIRED',
  'SIGNATURE_FORMAT',
  'SIGNATURE_KEY',
  'SIGNATURE_NONE',
  'SIGNATURE_REVOKED',
]);

/** Errors that make an artifact BAD: wrong or malformed bytes. All others make it FAIL. */
export function statusOf(thrown: unknown): 'BAD' | 'FAIL' {
  const error = ours(thrown);
  if (error instanceof RehydrateError && UNPROVED.has(error.code)) return 'FAIL';
  const kind = error instanceof RehydrateError ? error.kind : undefined;
  return kind === 'integrity' || kind === 'format' ? 'BAD' : 'FAIL';
}

/**
 * The error for a report; undefined if everything is GOOD. Its kind is `integrity` if anything is BAD,
 * else that of the worst FAIL, else `unsupported`.
 * Undefined kinds are bugs. The message begins with the cause.
 */
export function auditFailure(
  { counts, verdict, architectures }: Pick<AuditReport, 'counts' | 'verdict' | 'architectures'>,
  hint: string,
): Error | undefined {
  if (verdict === 'GOOD') return undefined;
  const lines = architectures.flatMap(({ architecture, artifacts }) =>
    artifacts
      .filter(({ status }) => status !== 'GOOD')
      .map(
        ({ status, label, error }) => `${status}: ${architecture} ${label}: ${firstLine(error)}`,
      ),
  );
  const told = WORST_FIRST.filter((status) => status !== 'GOOD' && counts[status] > 0);
  const message = told.map((status) => `${counts[status]} ${status}`).join(', ');
  const kind = verdict === 'BAD' ? 'integrity' : worstKind(verdict, architectures);
  const head = `${causeOf(verdict, architectures)} (${message}; ${counts.GOOD} GOOD)`;
  const text = `${head}\n${lines.join('\n')}`;
  if (kind === undefined) return new Error(text);
  return kindError(kind, text, { code: CODES[verdict], hint });
}

/** Why something has the worst status, in one line; many artifacts may share one cause. */
function causeOf(verdict: Status, architectures: AuditReport['architectures']): string {
  const worst = architectures.flatMap(({ architecture, artifacts }) =>
    artifacts
      .filter(({ status }) => status === verdict)
      .map(({ label, error }) => ({ name: `${architecture} ${label}`, cause: firstLine(error) })),
  );
  const causes = new Set(worst.map(({ cause }) => cause));
  const [first] = worst;
  if (first === undefined) return 'the audit did not pass';
  if (worst.length > 1 && causes.size === 1) return first.cause;
  const more = causes.size - 1;
  const others = more > 0 ? `, and ${more} other reason${more > 1 ? 's' : ''}` : '';
  return `${first.name}: ${first.cause}${others}`;
}

function worstKind(
  verdict: Status,
  architectures: AuditReport['architectures'],
): ErrorKind | undefined {
  if (verdict === 'UNCOVERED') return 'unsupported';
  const kinds = architectures.flatMap(({ artifacts }) =>
    artifacts.filter(({ status }) => status === 'FAIL').map(({ error }) => error?.kind),
  );
  if (kinds.some((kind) => !KINDS_WORST_FIRST.some((known) => known === kind))) return undefined;
  return KINDS_WORST_FIRST.find((kind) => kinds.includes(kind));
}

const firstLine = (error: ReportedError | undefined) => error?.message.split('\n', 1)[0] ?? '';

/** An error as data, without stack traces; control characters (of consoles) are made harmless. */
export function reportError(thrown: unknown): ReportedError {
  const error = ours(thrown);
  const isOurs = error instanceof RehydrateError;
  const hint = isOurs ? error.hint : undefined;
  return {
    kind: isOurs ? error.kind : 'internal',
    code: isOurs ? error.code : 'INTERNAL',
    message: plain(error),
    ...(hint === undefined ? {} : { hint: hint.slice(0, 20_000) }),
    causes: causesOf(error instanceof Error ? error.cause : undefined),
  };
}

function causesOf(cause: unknown, depth = 0): string[] {
  if (cause === undefined || cause === null || depth > 8) return [];
  return [plain(cause), ...causesOf(cause instanceof Error ? cause.cause : undefined, depth + 1)];
}

function plain(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return reportable(text);
}
