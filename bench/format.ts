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

export function median(values: number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A ratio to three places: throughput under Atlas over native is read in percent. */
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
