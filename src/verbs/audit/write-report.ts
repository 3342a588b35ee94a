import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '../../core/io/atomic.ts';
import { type Sha256, sha256Of } from '../../core/io/digest.ts';
import { makeFolder } from '../../core/io/folders.ts';
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
  /** Hashes of the signed statements that a merged report is based on. */
  readonly inputs?: readonly Sha256[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Makes the folder of a report before the work. Throws IoError if it cannot be written to. */
export async function prepareReport(folder: string): Promise<void> {
  await makeFolder(folder);
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw osError(error, 'write to', folder);
  }
}

/** Writes a report in all its forms, each file whole or not at all. Older ones are replaced. */
export async function writeReport(
  folder: string,
  report: AuditReport,
  { signingKey, inputs, signal }: WriteReportOptions = {},
): Promise<void> {
  const text = json(report);
  const statement = statementOf(report, { report: sha256Of(Buffer.from(text)), inputs });
  const files: Record<string, string> = {
    [REPORT_FILES.json]: text,
    [REPORT_FILES.junit]: renderJunit(report),
    [REPORT_FILES.markdown]: renderMarkdown(report),
    [REPORT_FILES.html]: renderHtml(report),
    [REPORT_FILES.statement]: json(statement),
  };
  if (signingKey) files[REPORT_FILES.envelope] = json(signStatement(statement, signingKey));
  await makeFolder(folder);
  for (const [name, text] of Object.entries(files)) {
    await writeAtomically(join(folder, name), (sink) => sink.write(Buffer.from(text)), { signal });
  }
}

const json = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`;
