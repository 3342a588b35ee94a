import { formatBytes } from '../../core/text/bytes.ts';
import { shortName } from '../../release/stream/artifacts.ts';
import { type Markup, markup, raw } from '../audit/render/escape.ts';
import type { ServedFile } from './catalogue.ts';
import type { ImageState, ImageStore } from './image-store.ts';

/** Nothing is loaded, and nothing runs. */
export const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export interface PageOptions {
  readonly store: Pick<ImageStore, 'stateOf'>;
  /** URL at which the reader has reached this server. */
  readonly base: string;
  /** By path. */
  readonly streams: ReadonlyMap<string, unknown>;
}

/** A page for people: the files with sizes and SHA-256s, and how to point programs here. */
export async function indexPage(
  files: Iterable<ServedFile>,
  { store, base, streams }: PageOptions,
): Promise<string> {
  const byArch = new Map<string, Row[]>();
  for (const served of files) {
    const rows = byArch.get(served.architecture) ?? [];
    byArch.set(served.architecture, rows);
    rows.push({ served, state: await store.stateOf(served) });
  }
  const [first] = [...byArch.values()].flat();
  const release = first?.served.recipes.release ?? '';
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CoreOS ${release}</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<h1>CoreOS ${release}</h1>
<p>A mirror of this release. Each file is made from the release’s live ISO when it is first requested,
and sent only once its SHA-256 is the release’s own. The first request for a file may therefore take minutes.</p>
${pointing(base, streams, first?.served)}
${[...byArch].map(([arch, rows]) => section(arch, rows))}
<p class="soft">For programs: ${[...streams.keys()].map((path) => markup`<a href="${relative(path)}">${path}</a> `)}
<a href="healthz">/healthz</a> <a href="metrics">/metrics</a></p>
</body>
</html>
`.markup;
}

interface Row {
  readonly served: ServedFile;
  readonly state: ImageState;
}

const relative = (path: string) => path.slice(1).split('/').map(encodeURIComponent).join('/');

/** Commands to copy. */
function pointing(
  base: string,
  streams: ReadonlyMap<string, unknown>,
  first: ServedFile | undefined,
): Markup {
  const path = [...streams.keys()].find((one) => one.startsWith('/streams/')) ?? '';
  const stream = path.slice('/streams/'.length).replace(/\.json$/, '');
  const image = first === undefined ? '' : `${base}/${relative(first.path)}`;
  return markup`<h2>How to use it</h2>
<dl>
<dt>coreos-installer</dt><dd><pre>coreos-installer list-stream --stream-base-url ${base}/streams/ -s ${stream}
coreos-installer download --stream-base-url ${base}/streams/ -s ${stream} -p metal -f iso
coreos-installer install /dev/sda --stream-base-url ${base}/streams/ -s ${stream}</pre></dd>
<dt>openshift-install</dt><dd><pre># install-config.yaml, with the location and SHA-256 of the image below
platform:
  baremetal:
    clusterOSImage: ${base}/…/x.qcow2.gz?sha256=…</pre></dd>
<dt>podman machine</dt><dd><pre>podman machine init --image ${base}/…/x-qemu.qcow2.xz</pre></dd>
<dt>curl</dt><dd><pre>curl -fLO ${image}</pre></dd>
</dl>`;
}

function section(arch: string, rows: readonly Row[]): Markup {
  return markup`<h2 id="${arch}">${arch}</h2>
<table>
<thead><tr><th>artifact</th><th>file</th><th>size</th><th>SHA-256</th><th>state</th></tr></thead>
<tbody>${rows.map(row)}</tbody>
</table>`;
}

function row({ served, state }: Row): Markup {
  const { file, path, recipes, listed } = served;
  const { artifact, name, size, sha256 } = file;
  const label = shortName(artifact, recipes.artifacts);
  const other = listed ? markup`` : markup` <small>(contents)</small>`;
  return markup`<tr>
<td data-label="artifact">${label}${other}</td>
<td data-label="file"><a href="${relative(path)}">${name}</a></td>
<td data-label="size" class="number">${formatBytes(size)}</td>
<td data-label="SHA-256"><code class="copy" tabindex="0">${sha256}</code></td>
<td data-label="state"><span class="state ${state.replace(' ', '-')}">${state}</span></td>
</tr>`;
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --paper: #fff; --line: #d9d9e0;
  --well: #f0f0f3; --link: #0d74ce; --kept: #218358; --making: #ad5700; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #b0b4ba; --paper: #111113;
  --line: #43484e; --well: #212225; --link: #70b8ff; --kept: #3dd68c; --making: #ffa057; } }
* { box-sizing: border-box; }
body { margin: 2rem auto; max-width: 80rem; padding: 0 1rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { margin-bottom: 0; } h2 { margin-top: 2rem; border-bottom: 1px solid var(--line); }
a { color: var(--link); overflow-wrap: anywhere; } .soft, small, dt, th { color: var(--soft); }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem 1rem; } dd { margin: 0; }
pre, code { font: 13px/1.45 ui-monospace, monospace; }
pre { margin: 0; padding: .5rem .7rem; white-space: pre-wrap; overflow-wrap: anywhere; background: var(--well);
  border-radius: 6px; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 500; }
td, th { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
.copy { user-select: all; overflow-wrap: anywhere; font-size: 12px; } .state { white-space: nowrap; }
.state.kept { color: var(--kept); } .state.making { color: var(--making); } .state.not-made { color: var(--soft); }
@media (max-width: 60rem) {
  dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: .6rem; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, tr, td { display: block; width: 100%; }
  tr { padding: .6rem 0; border-bottom: 1px solid var(--line); }
  td { display: grid; grid-template-columns: 5rem minmax(0, 1fr); gap: .6rem; padding: .1rem 0; border: 0; }
  td::before { content: attr(data-label); color: var(--soft); }
}
`;
