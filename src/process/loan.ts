/** Borrowing one of the program's threads, to make a task of ours, in the way that disturbs the program least. */
import { isError } from '../linux/errno.js';
import { SYS, syscallName } from '../linux/syscall-numbers.js';
import { catchSleeper, forgetSleeper, sleepingPlace } from './breakpoints.js';
import { askWithin, wasAsleep } from './hold.js';
import { borrow, type InjectionScope } from './inject.js';
import { Interruption } from './interruption.js';
import type { Kernel } from './kernel.js';
import type { Process, Thread } from './model.js';
import type { Place } from './place.js';
import type { Steps } from './steps.js';
import type { Task } from './task.js';
import { mayStartAnew, timeOutOf } from './time-outs.js';

/** How a thread is borrowed: the lower, the sooner. */
export enum Rank {
  /** It runs, or its call means the same when it is made again. */
  atOnce,
  /** What it shows of its interruption is made good. */
  withCare,
  /** Its short time-out starts anew, once. */
  late,
  /** It is not interrupted: it is borrowed when its call returns. */
  onReturn,
}

function rankOf(thread: Thread): Rank {
  const sleeping = sleepingPlace(thread);
  const timeOut = sleeping && timeOutOf(sleeping, thread, thread.home);
  if (!timeOut) return Rank.atOnce;
  if (timeOut.keptByTask) return timeOut.remainder === undefined ? Rank.atOnce : Rank.withCare;
  return mayStartAnew(thread, timeOut) ? Rank.late : Rank.onReturn;
}

const canBeBorrowed = (thread: Thread): boolean =>
  thread.place.at === 'home' &&
  thread.turn === 'free' &&
  !(thread.ownTables || thread.held || thread.vforkChild);

/** Threads that can be borrowed, those that it disturbs least first; looks at no more of them than it must. */
export function* borrowable(process: Process): Generator<{ thread: Thread; rank: Rank }> {
  const later: { thread: Thread; rank: Rank }[] = [];
  for (const thread of process.threads.values()) {
    if (!canBeBorrowed(thread)) continue;
    const rank = rankOf(thread);
    if (rank === Rank.atOnce) yield { thread, rank };
    else later.push({ thread, rank });
  }
  for (const entry of later.sort((a, b) => a.rank - b.rank)) if (canBeBorrowed(entry.thread)) yield entry;
}

/** Threads of the program that are asked to make a task for us; one of them does. */
export class Loan implements Disposable {
  readonly #expected = new Map<Thread, { place: Place; nr: number }>();
  #begun = false;
  /** What was made, as soon as there is something. */
  newborn: Task | undefined;
  /** What the kernel answered instead (errno). */
  refusal = 0;

  /** @param flags of the clone */
  constructor(
    readonly kernel: Kernel,
    readonly flags: number,
  ) {}

  /** Which calls keep those who sleep. */
  get expected(): string {
    return [...new Set([...this.#expected.values()].map(({ nr }) => syscallName(nr)))].join(', ');
  }

  /** Brings it to a stop. */
  *ask(thread: Thread, deadline: number): Steps<void> {
    using interruption = Interruption.of(thread);
    if (!interruption) return;
    const lend = this.#lend(thread);
    yield* askWithin(this.kernel, thread, deadline, function* (): Steps<void> {
      interruption.arrived();
      yield* lend;
    });
  }

  /** Whoever wakes up first does it. */
  expect(thread: Thread): void {
    const nr = sleepingPlace(thread)?.nr;
    if (nr === undefined) return;
    const work = (woken: Thread): Steps<void> => this.#lend(woken);
    if (catchSleeper(thread, { kind: 'does', work }) === 'caught')
      this.#expected.set(thread, { place: thread.place, nr });
  }

  *#lend(thread: Thread): Steps<void> {
    if (this.#begun || thread.place.at !== 'home') return;
    this.#begun = true;
    const { home } = thread;
    wasAsleep((home.fetch(), home));
    try {
      yield* borrow(this.kernel, home, (scope) => this.#clone(scope, home));
    } finally {
      this.#begun = this.newborn !== undefined;
    }
  }

  *#clone(scope: InjectionScope, home: Task): Steps<void> {
    const tid = yield* scope.call(SYS.clone, this.flags, 0, 0, 0, 0);
    if (isError(tid)) this.refusal = -tid;
    else this.newborn = this.kernel.task(home.newborn);
  }

  [Symbol.dispose](): void {
    for (const [thread, { place }] of this.#expected) if (thread.place === place) forgetSleeper(thread);
  }
}
