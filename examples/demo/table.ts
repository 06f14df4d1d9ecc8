/** Plain-text tables: columns padded with spaces, numbers to the right. */
export type Cell = string | number;

function text(cell: Cell): string {
  return typeof cell === 'number' ? String(cell) : cell;
}

/** The first row is the header. A column whose cells are all numeric (after the header) is aligned to the right. */
export function table(rows: Cell[][], indent = '  '): string {
  const columns = rows[0]!.length;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => text(row[column]!).length)),
  );
  const isNumeric = widths.map((_, column) =>
    rows.slice(1).every((row) => /^[-+]?[\d.,–]*( ?(µs|ms|s|%|x))?$/.test(text(row[column]!))),
  );
  return rows
    .map((row) => {
      const cells = row.map((cell, column) =>
        isNumeric[column] ? text(cell).padStart(widths[column]!) : text(cell).padEnd(widths[column]!),
      );
      return (indent + cells.join('  ')).trimEnd();
    })
    .join('\n');
}

/** Three significant digits in the unit that reads best. */
export function duration(microseconds: number): string {
  if (Number.isNaN(microseconds)) return '–';
  if (microseconds < 1000) return `${Number(microseconds.toPrecision(3))} µs`;
  if (microseconds < 1e6) return `${Number((microseconds / 1e3).toPrecision(3))} ms`;
  return `${Number((microseconds / 1e6).toPrecision(3))} s`;
}
