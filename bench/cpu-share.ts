import { readFileSync } from 'node:fs';
import { now } from '../examples/load/clock.js';

/** What the kernel counts CPU time in for user space on x86-64, whatever its own tick is (USER_HZ). */
const TICKS_PER_SECOND = 100;

function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The command's name, in parentheses, may hold anything; utime and stime are fields 14 and 15 (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[14 - 3]) + Number(fields[15 - 3])) / TICKS_PER_SECOND;
}

/** How many cores a process uses between construction and `stop`; NaN for no process. */
export class CpuShare {
  readonly #pid: number | undefined;
  readonly #startedAt = now();
  readonly #startedWith: number;
  cores = Number.NaN;

  constructor(pid: number | undefined) {
    this.#pid = pid;
    this.#startedWith = pid === undefined ? Number.NaN : cpuSeconds(pid);
  }

  stop(): void {
    if (this.#pid === undefined) return;
    this.cores = (cpuSeconds(this.#pid) - this.#startedWith) / ((now() - this.#startedAt) / 1000);
  }
}
