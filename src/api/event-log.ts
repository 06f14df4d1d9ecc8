import type { SupervisorEvent } from '../supervisor/protocol.js';

/** An event with its place in the run's sequence, which counts from 1. */
export interface NumberedEvent {
  sequence: number;
  event: SupervisorEvent;
}

/**
 * The latest events of a run, kept for those who connect later. Bounded: a run may live for months.
 * A follower that misses the beginning sees a first number greater than 1.
 */
export class EventLog {
  readonly #capacity: number;
  readonly #latest: NumberedEvent[] = [];
  readonly #followers = new Set<(entry: NumberedEvent) => void>();
  #sequence = 0;

  constructor(capacity = 4096) {
    this.#capacity = capacity;
  }

  append(event: SupervisorEvent): void {
    const entry = { sequence: ++this.#sequence, event };
    this.#latest.push(entry);
    // In halves, so that a full log does not move its whole array for every event.
    if (this.#latest.length >= 2 * this.#capacity) this.#latest.splice(0, this.#capacity);
    for (const follower of this.#followers) follower(entry);
  }

  after(sequence: number): NumberedEvent[] {
    return this.#latest.slice(-this.#capacity).filter((entry) => entry.sequence > sequence);
  }

  /** Calls `follower` for what is kept after `sequence`, then for every new event, until the answer is called. */
  follow(sequence: number, follower: (entry: NumberedEvent) => void): () => void {
    for (const entry of this.after(sequence)) follower(entry);
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }
}
