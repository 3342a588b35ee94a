import { headline } from '../core/failures.ts';
import { formatBytes } from '../core/text/bytes.ts';
import { printable } from '../core/text/printable.ts';
import { renderTable } from '../core/text/table.ts';
import { shortName } from '../release/stream/artifacts.ts';
import type { ArchOutcome, RehydrateReport } from '../verbs/rehydrate/rehydrate.ts';
import { errorEvent } from './render-error.ts';

/** A table for people, with the artifacts made, failed and not covered per architecture. */
export function renderSummary({ architectures }: RehydrateReport): string {
  const table = renderTable(
    [
      { title: 'ARCHITECTURE', cell: ({ architecture }) => architecture },
      {
        title: 'WRITTEN',
        align: 'right',
        cell: (row) => String(withStatus(row, 'written').length),
      },
      { title: 'KEPT', align: 'right', cell: (row) => String(withStatus(row, 'present').length) },
      { title: 'SIZE', align: 'right', cell: (row) => formatBytes(bytesOf(row)) },
      { title: 'TIME', align: 'right', cell: ({ seconds }) => `${seconds.toFixed(1)} s` },
      { title: 'RESULT', cell: resultOf },
    ],
    architectures,
  );
  return printable(table);
}

/** The same for machines: one JSON object. Sizes in bytes. */
export function summaryEvent({ architectures }: RehydrateReport): Record<string, unknown> {
  return {
    type: 'summary',
    architectures: architectures.map((row) => ({
      architecture: row.architecture,
      status: row.status,
      written: withStatus(row, 'written').length,
      present: withStatus(row, 'present').length,
      size: bytesOf(row),
      seconds: row.seconds,
      engine: row.engine,
      uncovered: row.uncovered.map(({ platform, format, file, name, reason }) => ({
        ...{ platform, format, file, name, reason },
      })),
      ...(row.error === undefined ? {} : { error: errorEvent(row.error) }),
    })),
  };
}

const withStatus = ({ artifacts }: ArchOutcome, wanted: 'written' | 'present') =>
  artifacts.filter(({ status }) => status === wanted);

const bytesOf = ({ artifacts }: ArchOutcome) => artifacts.reduce((sum, { size }) => sum + size, 0);

function resultOf({ status, error, uncovered, engine }: ArchOutcome): string {
  if (status === 'left-out') return `skipped: ${headline(error)}`;
  if (status === 'failed') return `failed: ${headline(error)}`;
  if (uncovered.length > 0) {
    return `not covered: ${uncovered.map((one) => shortName(one, uncovered)).join(', ')}`;
  }
  return engine === undefined ? 'done, no boot needed' : `done, by ${engine.detail}`;
}
