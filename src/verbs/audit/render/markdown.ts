import { formatBytes } from '../../../core/text/bytes.ts';
import type { AuditedArtifact, AuditReport } from '../report.ts';
import { STATUSES } from '../report.ts';
import { trustWords } from '../trust-record.ts';
import { detailsOf } from './junit.ts';

/** For job summaries and merge requests: GitHub-flavoured Markdown. */
export function renderMarkdown(report: AuditReport): string {
  const { verdict, counts, architectures, bundle, tools, request, started } = report;
  const told = STATUSES.filter((status) => counts[status] > 0);
  const lines = [
    `# Audit: ${verdict}`,
    '',
    told.map((status) => `**${counts[status]} ${status}**`).join(', ') || 'nothing was requested',
    '',
    `- bundle: \`sha256:${bundle.index}\``,
    `- vouched for: ${cell(trustWords(request.trust))}`,
    `- requested engine: ${request.engine}`,
    ...(request.shard ? [`- shard: ${request.shard.index}/${request.shard.of}`] : []),
    `- started: ${started}`,
    `- tools: ${cell(
      Object.entries(tools)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    )}`,
  ];
  for (const { architecture, release, artifacts, engine, leftOut } of architectures) {
    lines.push('', `## ${architecture}, ${cell(release)}`, '');
    if (engine) lines.push(`Disks by ${cell(engine.engine)}: ${cell(engine.detail)}`, '');
    if (leftOut)
      lines.push(`Not judged, because the ISO is absent: ${cell(leftOut.join(', '))}`, '');
    lines.push('| status | artifact | size | made from | SHA-256 | time |');
    lines.push('| --- | --- | ---: | --- | --- | ---: |');
    for (const artifact of artifacts) lines.push(rowOf(artifact));
    for (const artifact of artifacts) {
      if (artifact.status === 'GOOD') continue;
      const text = detailsOf(artifact).replaceAll('```', "'''");
      lines.push('', `### ${artifact.status}: ${architecture} ${cell(artifact.label)}`);
      lines.push('', '```', text, '```');
    }
  }
  return `${lines.join('\n')}\n`;
}

function rowOf({ status, label, size, madeFrom, sha256, seconds }: AuditedArtifact): string {
  const bytes = size === undefined ? '' : formatBytes(size);
  const time = seconds === 0 ? '' : `${seconds.toFixed(1)} s`;
  const cells = [status, label, bytes, madeFrom ?? '', sha256 ? `\`${sha256}\`` : '', time];
  return `| ${cells.map(cell).join(' | ')} |`;
}

/** Escapes a line so that it neither ends a table cell nor starts HTML. */
const cell = (text: string) => text.replace(/[|<>\\]/g, '\\$&').replace(/\s+/g, ' ');
