import { createHash } from 'node:crypto';
import { formatBytes } from '../../../core/text/bytes.ts';
import type { AuditedArchitecture, AuditedArtifact, AuditReport } from '../report.ts';
import { STATUSES } from '../report.ts';
import { trustWords } from '../trust-record.ts';
import { WORST_FIRST } from '../verdict.ts';
import { type Markup, markup, raw } from './escape.ts';
import { detailsOf } from './junit.ts';
import { SCRIPT, STYLE } from './page-style.ts';
import { compositionChart, mapLegend, mapStrip, timeChart } from './plots.ts';

/** One self-contained page; its policy forbids loading anything and running any other script. */
export function renderHtml(report: AuditReport): string {
  const { verdict, architectures } = report;
  const hash = createHash('sha256').update(SCRIPT).digest('base64');
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'`;
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>Audit: ${verdict}</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<h1>Audit: <span class="status ${verdict}">${verdict}</span></h1>
${facts(report)}
${wrongOnes(report)}
${filters(report)}
${architectures.map(section)}
<script>${raw(SCRIPT)}</script>
</body>
</html>
`.markup;
}

function facts({ counts, bundle, request, tools, started, finished }: AuditReport): Markup {
  const told = STATUSES.map((status) => `${counts[status]} ${status}`).join(', ');
  const { shard } = request;
  const rows: readonly (readonly [string, string])[] = [
    ['artifacts', told],
    ['bundle', `${bundle.path}, sha256:${bundle.index}`],
    ['vouched for', trustWords(request.trust)],
    ['requested engine', request.engine],
    ...(shard ? [['shard', `${shard.index} of ${shard.of}`] as const] : []),
    ['time', `${started} to ${finished}`],
    [
      'tools',
      Object.entries(tools)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ],
  ];
  return markup`<dl>${rows.map(([name, text]) => markup`<dt>${name}</dt><dd>${text}</dd>`)}</dl>`;
}

/** A list of the artifacts that are not GOOD, worst first, with links to their details. */
function wrongOnes({ architectures }: AuditReport): Markup {
  const wrong = architectures.flatMap(({ architecture, artifacts }) =>
    artifacts
      .filter(({ status }) => status !== 'GOOD')
      .map((artifact) => ({ architecture, artifact })),
  );
  wrong.sort((a, b) => rank(a.artifact) - rank(b.artifact));
  const items = wrong.map(({ architecture, artifact }) => {
    const { status, label, difference, error } = artifact;
    const [why] = (difference?.region ?? error?.message ?? '').split('\n', 1);
    return markup`<li><span class="status ${status}">${status}</span> <a href="#${anchor(architecture, artifact)}">${architecture} ${label}</a>: ${why}</li>`;
  });
  return items.length > 0 ? markup`<ul>${items}</ul>` : markup``;
}

const rank = ({ status }: AuditedArtifact) => WORST_FIRST.indexOf(status);
const anchor = (architecture: string, { label }: AuditedArtifact) => `${architecture}/${label}`;

/** Hidden until the script shows it, because it does nothing without the script. */
function filters({ counts }: AuditReport): Markup {
  const boxes = STATUSES.filter((status) => counts[status] > 0).map(
    (status) =>
      markup`<label><input type="checkbox" value="${status}" checked> <span class="status ${status}">${status}</span></label>`,
  );
  return markup`<form class="filters" hidden><input type="search" placeholder="filter by name" aria-label="filter by name">${boxes}<output></output></form>`;
}

function section(arch: AuditedArchitecture): Markup {
  const { architecture, release, iso, engine, artifacts, seconds, leftOut } = arch;
  const disks = engine
    ? `${engine.engine}: ${engine.detail}`
    : 'no disk was needed, or none was made';
  const left = leftOut
    ? markup`<dt>not judged, because the ISO is absent</dt><dd>${leftOut.join(', ')}</dd>`
    : markup``;
  const wrong = artifacts.filter(({ status }) => status !== 'GOOD');
  return markup`<section id="${architecture}">
<h2>${architecture}, ${release}</h2>
<dl><dt>ISO</dt><dd>${iso.name}, ${formatBytes(iso.size)}</dd><dt>disks by</dt><dd>${disks}</dd><dt>time</dt><dd>${seconds.toFixed(1)} s</dd>${left}</dl>
${mapLegend()}
<div class="wide"><table>
<thead><tr><th>status</th><th>artifact</th><th class="number">size</th><th class="number">delta</th><th>made from</th><th>where its bytes come from, start to end</th><th class="number">time</th></tr></thead>
<tbody>
${artifacts.map((artifact) => row(architecture, artifact))}</tbody>
</table></div>
${wrong.map((artifact) => details(architecture, artifact))}
<h3>What the bundle holds, and what is made of it</h3>
${compositionChart(arch)}
<h3>Time</h3>
${timeChart(arch)}
</section>
`;
}

function row(architecture: string, artifact: AuditedArtifact): Markup {
  const { status, label, name, size, sha256, blobSize, madeFrom, map, seconds } = artifact;
  const bytes = (count: number | undefined) => (count === undefined ? '' : formatBytes(count));
  const search = `${architecture} ${label} ${name}`.toLowerCase();
  return markup`<tr data-status="${status}" data-name="${search}"><td class="status ${status}" data-label="status">${status}</td><td title="${name}\n${sha256}" data-label="artifact">${label}</td><td class="number" data-label="size">${bytes(size)}</td><td class="number" data-label="delta">${bytes(blobSize)}</td><td data-label="made from">${madeFrom}</td><td class="map" data-label="bytes from">${map ? mapStrip(map) : undefined}</td><td class="number" data-label="time">${seconds > 0 ? `${seconds.toFixed(2)} s` : ''}</td></tr>
`;
}

function details(architecture: string, artifact: AuditedArtifact): Markup {
  const { status, label, name } = artifact;
  return markup`<h3 id="${anchor(architecture, artifact)}"><span class="status ${status}">${status}</span> ${label}</h3>
<p><code>${name}</code></p>
<pre>${detailsOf(artifact)}</pre>
`;
}
