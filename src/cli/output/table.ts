export type Align = 'left' | 'right';

export interface Column<Row> {
  title: string;
  align?: Align;
  cell: (row: Row) => string | number;
}

/** Aligned columns below upper-case titles; the last column is as long as its text. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const lines = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ cell }) => String(cell(row)))),
  ];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => line[index]!.length)));
  return lines
    .map((line) =>
      line
        .map((text, index) =>
          columns[index]!.align === 'right' ? text.padStart(widths[index]!) : text.padEnd(widths[index]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}
