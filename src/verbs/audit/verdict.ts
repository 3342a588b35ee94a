import { KINDS_WORST_FIRST, kindError } from '../../core/arch-failures.ts';
import { type ErrorKind, RehydrateError } from '../../core/errors.ts';
import type { AuditedArchitecture, AuditReport, ReportedError, Status } from './report.ts';

const WORST_FIRST: readonly Status[] = ['BAD', 'FAIL', 'UNCOVERED', 'GOOD'];

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

/** What BAD means for an artifact: wrong or malformed bytes. All other errors are FAIL. */
export function statusOf(error: unknown): 'BAD' | 'FAIL' {
  const kind = error instanceof RehydrateError ? error.kind : undefined;
  return kind === 'integrity' || kind === 'format' ? 'BAD' : 'FAIL';
}

/**
 * The error that a report amounts to; undefined if all is GOOD. Its kind is `integrity` if anything is BAD,
 * else that of the worst reason why something could not be tried, else `unsupported` for what is uncovered.
 * Undefined kinds are bugs.
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
  const text = `${message}; ${counts.GOOD} GOOD\n${lines.join('\n')}`;
  if (kind === undefined) return new Error(text);
  return kindError(kind, text, { code: `AUDIT_${verdict}`, hint });
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
export function reportError(error: unknown): ReportedError {
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
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '?').slice(0, 20_000);
}
