import { performance } from 'node:perf_hooks';

/** `performance.now()` counts from another moment in every thread: this brings it to CLOCK_MONOTONIC. */
const origin = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds on a clock that all threads and processes of the machine share. */
export function now(): number {
  return origin + performance.now();
}
