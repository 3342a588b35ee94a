import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '../../core/io/atomic.ts';
import { osError } from '../../core/io/os-error.ts';
import { renderHtml } from './render/html.ts';
import { renderJunit } from './render/junit.ts';
import { renderMarkdown } from './render/markdown.ts';
import { signStatement, statementOf } from './render/statement.ts';
import type { AuditReport } from './report.ts';

/** Files of a report's folder. */
export const REPORT_FILES = {
  json: 'audit.json',
  junit: 'audit.junit.xml',
  markdown: 'audit.md',
  html: 'audit.html',
  statement: 'audit.intoto.json',
  envelope: 'audit.intoto.dsse.json',
} as const;

export interface WriteReportOptions {
  /** Private key in PEM; without one there is no envelope. */
  readonly signingKey?: Buffer | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Writes a report in all its forms, each file whole or not at all. Older ones are replaced. */
export async function writeReport(
  folder: string,
  report: AuditReport,
  { signingKey, signal }: WriteReportOptions = {},
): Promise<void> {
  const statement = statementOf(report);
  const files: Record<string, string> = {
    [REPORT_FILES.json]: json(report),
    [REPORT_FILES.junit]: renderJunit(report),
    [REPORT_FILES.markdown]: renderMarkdown(report),
    [REPORT_FILES.html]: renderHtml(report),
    [REPORT_FILES.statement]: json(statement),
  };
  if (signingKey) files[REPORT_FILES.envelope] = json(signStatement(statement, signingKey));
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw osError(error, 'create', folder);
  }
  for (const [name, text] of Object.entries(files)) {
    await writeAtomically(join(folder, name), (sink) => sink.write(Buffer.from(text)), { signal });
  }
}

const json = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`;
