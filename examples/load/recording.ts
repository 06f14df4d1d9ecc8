import type { Verdict } from './conversation.js';

/** Every answer of a load, one array a column. Times are `now()` of clock.ts. */
export interface Recording {
  count: number;
  /** When the request was due, in milliseconds. */
  startedAt: Float64Array;
  microseconds: Float64Array;
  /** 1: a request that is slow by nature, left out of the latencies. */
  slow: Uint8Array;
  version: Uint8Array;
  thread: Uint32Array;
  turn: Uint32Array;
  wrongAnswers: number;
  /** The first few wrong answers and broken connections, in words. */
  complaints: string[];
  /** Connections that broke, and requests that nobody has answered. */
  failures: number;
}

const COMPLAINTS_KEPT = 10;

/** Fills the columns; allocated before the load starts, so that recording does not make garbage. */
export class Recorder {
  readonly recording: Recording;
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.recording = {
      count: 0,
      startedAt: new Float64Array(capacity),
      microseconds: new Float64Array(capacity),
      slow: new Uint8Array(capacity),
      version: new Uint8Array(capacity),
      thread: new Uint32Array(capacity),
      turn: new Uint32Array(capacity),
      wrongAnswers: 0,
      complaints: [],
      failures: 0,
    };
  }

  get isFull(): boolean {
    return this.recording.count === this.#capacity;
  }

  add(startedAt: number, endedAt: number, slow: boolean, verdict: Verdict): void {
    const into = this.recording;
    const at = into.count++;
    into.startedAt[at] = startedAt;
    into.microseconds[at] = (endedAt - startedAt) * 1000;
    into.slow[at] = slow ? 1 : 0;
    into.version[at] = verdict.version;
    into.thread[at] = verdict.thread;
    into.turn[at] = verdict.turn;
    if (verdict.wrong !== undefined) {
      into.wrongAnswers++;
      this.#complain(verdict.wrong);
    }
  }

  fail(reason: string): void {
    this.recording.failures++;
    this.#complain(reason);
  }

  #complain(reason: string): void {
    if (this.recording.complaints.length < COMPLAINTS_KEPT) this.recording.complaints.push(reason);
  }
}
