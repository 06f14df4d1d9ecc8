/**
 * Ranges in which the gate must not act by itself, because more hangs on them than the kernel's areas say:
 *
 * - memory of the store that stands for a private mapping of a file: MADV_DONTNEED brings the file's bytes
 *   back (madvise(2)), and what came from a `noexec` mount may never become executable;
 * - memory that a fork child gets empty (MADV_WIPEONFORK);
 * - text, where rewritten call sites, breakpoints and patches are private pages that MADV_DONTNEED would drop.
 *
 * The gate looks them up in a table (x64/gate-memory.ts) before it changes anything, so nothing in here is
 * replaced or unmapped without the supervisor, and the list is exact. A slot of the table is cleared and
 * used again, never moved: the gate may be looking.
 */
import type { Store } from '../memory/store.js';
import { GATE_WATCHED, GATE_WATCHED_COUNT, WATCHED_SLOTS } from '../x64/gate.js';
import type { MappedFile } from './mapped-file.js';

/** What is known of a watched range. */
export type Watched =
  | { kind: 'text' }
  /** A fork child finds zeros here. */
  | { kind: 'wiped' }
  | {
      kind: 'file';
      /** Undefined when the supervisor cannot open it. */
      file: MappedFile | undefined;
      /** In the file, of the range's first byte. */
      offset: number;
      /** It lies on a mount that forbids execution. */
      noExec: boolean;
    };

export interface WatchedRange {
  start: number;
  end: number;
  what: Watched;
}

interface Slot extends WatchedRange {
  /** In the gate's table; -1 when that is full. */
  slot: number;
}

export class WatchedRanges implements Disposable {
  #ranges: Slot[] = [];
  readonly #free: number[] = [];
  #used = 0;

  constructor(readonly store: Store) {}

  add(start: number, end: number, what: Watched): void {
    if (end <= start) return;
    if (what.kind === 'file') what.file?.hold();
    const slot = this.#free.pop() ?? (this.#used < WATCHED_SLOTS ? this.#used++ : -1);
    this.#ranges.push({ start, end, what, slot });
    if (slot >= 0) this.#write(slot, start, end);
    this.#writeCount();
  }

  /** What is known inside [start, end) is no longer so. */
  remove(start: number, end: number): void {
    const gone = new Set(this.#ranges.filter((range) => range.start < end && range.end > start));
    if (gone.size === 0) return;
    // The parts that stay come first: the gate must not find a hole where there is none.
    for (const range of gone) {
      if (range.start < start) this.add(range.start, start, range.what);
      if (range.end > end) this.add(end, range.end, shifted(range.what, end - range.start));
    }
    for (const { slot, what } of gone) {
      if (slot >= 0) {
        this.#write(slot, 0, 0);
        this.#free.push(slot);
      }
      if (what.kind === 'file') what.file?.letGo();
    }
    this.#ranges = this.#ranges.filter((range) => !gone.has(range));
    this.#writeCount();
  }

  overlapping(start: number, end: number): WatchedRange[] {
    return this.#ranges
      .filter((range) => range.start < end && range.end > start)
      .sort((a, b) => a.start - b.start);
  }

  /** The same in a fork child's store. */
  adopt(parent: WatchedRanges): void {
    for (const { start, end, what } of parent.#ranges) this.add(start, end, what);
  }

  [Symbol.dispose](): void {
    for (const { what } of this.#ranges.splice(0)) if (what.kind === 'file') what.file?.letGo();
  }

  #write(slot: number, start: number, end: number): void {
    const words = new BigUint64Array([BigInt(start), BigInt(end)]);
    this.store.write(GATE_WATCHED + slot * 16, new Uint8Array(words.buffer));
  }

  #writeCount(): void {
    const full = this.#ranges.some(({ slot }) => slot < 0);
    this.store.write(GATE_WATCHED_COUNT, new Uint8Array(Int32Array.of(full ? -1 : this.#used).buffer));
  }
}

/** What is known of the part of a range that begins `by` bytes later. */
export function shifted(what: Watched, by: number): Watched {
  return what.kind === 'file' ? { ...what, offset: what.offset + by } : what;
}
