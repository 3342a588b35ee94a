/** A Markdown table, to be pasted into docs/measurements.md. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`;
  const rule = `|${widths.map((w, i) => (i === 0 ? `${'-'.repeat(w + 2)}` : `${'-'.repeat(w + 1)}:`)).join('|')}|`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

export const seconds = (value: number | undefined): string =>
  value === undefined ? '-' : `${value.toFixed(value < 10 ? 2 : 1)} s`;

export const bytes = (value: number): string => value.toLocaleString('en-US');

export const mebibytes = (value: number): string => `${Math.round(value / (1 << 20))} MiB`;
