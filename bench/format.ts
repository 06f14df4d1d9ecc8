import { type Cell, duration, table } from '../examples/demo/table.js';

/** One line of the bench's table. */
export interface Row {
  /** What was measured, e.g. `throughput redis`. */
  name: string;
  /** The figure that the goal is about, as a reader wants to see it. */
  value: string;
  /** What it stands beside: the native figure, the spread, the parts. */
  beside: string;
  goal: string;
}

/** What a sub-bench hands back: lines for people, and every number it has for machines. */
export interface Section {
  name: string;
  title: string;
  rows: Row[];
  data: unknown;
  /** What was left out, and why. */
  notes: string[];
  /** What did not work: the bench ends with 1. */
  failures: string[];
}

export { duration };

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** @param part 0 to 1; between two values, the line between them */
export function quantile(values: readonly number[], part: number): number {
  const sorted = Float64Array.from(values).toSorted();
  const place = part * (sorted.length - 1);
  const below = sorted[Math.floor(place)]!;
  return below + (sorted[Math.ceil(place)]! - below) * (place % 1);
}

export function ratio(value: number): string {
  return Number.isNaN(value) ? '–' : value.toFixed(3);
}

export function thousands(value: number): string {
  return value >= 10_000 ? `${(value / 1000).toFixed(1)}k` : String(Math.round(value));
}

export function renderSections(sections: Section[]): string {
  const rows: Cell[][] = [['what', 'value', 'beside it', 'goal']];
  for (const section of sections)
    for (const row of section.rows) rows.push([row.name, row.value, row.beside, row.goal]);
  const notes = sections.flatMap((section) => [
    ...section.notes.map((note) => `  ${section.name}: ${note}`),
    ...section.failures.map((failure) => `  ${section.name} FAILED: ${failure}`),
  ]);
  return [table(rows), ...(notes.length > 0 ? ['', ...notes] : []), ''].join('\n');
}
