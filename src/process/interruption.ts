/** Interrupting a thread at home so that its program cannot tell, even if it sleeps (time-outs.ts). */
import { catchSleeper, forgetSleeper, sleepingPlace } from './breakpoints.js';
import type { Thread } from './model.js';
import type { Place } from './place.js';
import { mayBeInterrupted, noteInterruption, Remainder, timeOutOf } from './time-outs.js';

export class Interruption implements Disposable {
  /** While the thread is caught, what is remembered is of the sleep that is interrupted, and of no later one. */
  readonly #caught: { place: Place; remainder: Remainder } | undefined;

  private constructor(
    readonly thread: Thread,
    remainder: Remainder | undefined,
  ) {
    if (remainder) this.#caught = { place: thread.place, remainder };
  }

  /** @param thread at home, and nobody's @returns undefined when it must not be interrupted now */
  static of(thread: Thread): Interruption | undefined {
    const sleeping = sleepingPlace(thread);
    const timeOut = sleeping && timeOutOf(sleeping, thread, thread.home);
    if (!mayBeInterrupted(thread, timeOut)) return undefined;
    let remainder: Remainder | undefined;
    if (timeOut?.remainder !== undefined) {
      if (catchSleeper(thread, { kind: 'stays' }) !== 'caught') return undefined;
      remainder = new Remainder(thread.home, timeOut);
    }
    noteInterruption(thread, timeOut);
    return new Interruption(thread, remainder);
  }

  /** The thread is at its interrupt stop. */
  arrived(): void {
    if (!this.#isCaught()) return;
    this.#caught!.remainder.restore();
    forgetSleeper(this.thread);
  }

  [Symbol.dispose](): void {
    if (this.#isCaught()) forgetSleeper(this.thread);
  }

  #isCaught(): boolean {
    return this.#caught !== undefined && this.thread.place === this.#caught.place;
  }
}
