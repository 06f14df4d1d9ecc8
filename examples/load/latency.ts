import type { Recording } from './recording.js';

export interface Latencies {
  count: number;
  p50: number;
  p99: number;
  p999: number;
  max: number;
}

/** A stretch of time on the shared clock, in milliseconds. */
export interface Window {
  from: number;
  to: number;
}

/** The nearest-rank percentile of ascending values; NaN of none. */
export function percentile(sorted: Float64Array, fraction: number): number {
  if (sorted.length === 0) return Number.NaN;
  return sorted[Math.max(0, Math.ceil(sorted.length * fraction) - 1)]!;
}

export function summarize(values: Float64Array): Latencies {
  const sorted = values.toSorted();
  return {
    count: sorted.length,
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    p999: percentile(sorted, 0.999),
    max: percentile(sorted, 1),
  };
}

/** Microseconds of the requests that were due in the window, or under way while it lasted; not of the slow ones. */
export function microsecondsIn(recording: Recording, window: Window): Float64Array {
  const values = new Float64Array(recording.count);
  let count = 0;
  for (let i = 0; i < recording.count; i++) {
    const from = recording.startedAt[i]!;
    const to = from + recording.microseconds[i]! / 1000;
    if (recording.slow[i] === 0 && from < window.to && to > window.from)
      values[count++] = recording.microseconds[i]!;
  }
  return values.slice(0, count);
}

export function latenciesIn(recording: Recording, window: Window): Latencies {
  return summarize(microsecondsIn(recording, window));
}
