/** The page's style sheet. No fonts, no images: the page is one file. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --paper: #fff; --line: #d9d9e0;
  --iso: #3e63dd; --metal: #30a46c; --metal4k: #0d9488; --delta: #e5484d; --zeros: #e8e8ec;
  --recipe: #f76b15; --engine: #8e4ec6; --good: #218358; --bad: #ce2c31; --fail: #ad5700; --open: #60646c; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #b0b4ba; --paper: #111113;
  --line: #43484e; --zeros: #2e3135; --good: #3dd68c; --bad: #ff9592; --fail: #ffa057; --open: #b0b4ba; } }
body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
a { color: inherit; } code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .8rem; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; color: var(--soft); font-weight: 500; }
td, th { padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } td.map { width: 34%; } td.map small { color: var(--soft); font-size: 11px; } svg.map { width: 100%; min-width: 15rem; height: 14px; display: block; border-radius: 2px; }
svg.bars { width: 100%; max-width: 52rem; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg text.label { fill: var(--soft); }
.iso { fill: var(--iso); background: var(--iso); } .metal { fill: var(--metal); background: var(--metal); }
.metal4k { fill: var(--metal4k); background: var(--metal4k); } .delta { fill: var(--delta); background: var(--delta); }
.zeros { fill: var(--zeros); background: var(--zeros); } .recipe { fill: var(--recipe); }
.engine { fill: var(--engine); } rect.GOOD { fill: var(--good); } rect.BAD { fill: var(--bad); } rect.FAIL { fill: var(--fail); }
.status { font-weight: 600; white-space: nowrap; } .status.GOOD { color: var(--good); } .status.BAD { color: var(--bad); }
.status.FAIL { color: var(--fail); } .status.UNCOVERED { color: var(--open); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; list-style: none; color: var(--soft); }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px; }
.filters { display: flex; flex-wrap: wrap; gap: .5rem 1rem; margin: 1.2rem 0; align-items: center; }
input[type=search] { font: inherit; padding: .2rem .5rem; } [hidden] { display: none; }
@media (max-width: 45rem) {
  dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: .4rem; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, tr, td { display: block; width: 100%; } tr[hidden] { display: none; }
  tr { padding: .6rem 0; border-bottom: 1px solid var(--line); }
  td, td.map { display: grid; grid-template-columns: 6rem minmax(0, 1fr); gap: .6rem; width: 100%; padding: .1rem 0;
    border: 0; text-align: left; overflow-wrap: anywhere; } td:empty { display: none; }
  td::before { content: attr(data-label); color: var(--soft); font-weight: 400; } svg.map { min-width: 0; }
}
`;

/** Filters the rows by status and by name. Without it the page shows them all. */
export const SCRIPT = `
const rows = [...document.querySelectorAll('tr[data-status]')];
const boxes = [...document.querySelectorAll('.filters input[type=checkbox]')];
const search = document.querySelector('.filters input[type=search]');
const shown = document.querySelector('.filters output');
function apply() {
  const statuses = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  const text = search.value.trim().toLowerCase();
  let count = 0;
  for (const row of rows) {
    row.hidden = !statuses.has(row.dataset.status) || !row.dataset.name.includes(text);
    if (!row.hidden) count += 1;
  }
  shown.value = count + ' of ' + rows.length + ' artifacts';
}
for (const input of [...boxes, search]) input.addEventListener('input', apply);
document.querySelector('.filters').hidden = false;
apply();
`;
