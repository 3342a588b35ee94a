/** A column of a text table. */
export interface Column<T> {
  readonly title: string;
  readonly align?: 'left' | 'right';
  readonly cell: (row: T) => string;
}

/** Columns two spaces apart, each as wide as its widest cell; no trailing blanks. */
export function renderTable<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ cell }) => cell(row))),
  ];
  const widths = columns.map((_, column) =>
    Math.max(...cells.map((line) => line[column]?.length ?? 0)),
  );
  const lines = cells.map((line) =>
    line
      .map((text, column) => {
        const width = widths[column] ?? 0;
        return columns[column]?.align === 'right' ? text.padStart(width) : text.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}
