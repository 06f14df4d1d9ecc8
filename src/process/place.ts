/**
 * Where a thread's user-mode state is: which of several register sets is the true one. These are the only
 * transitions; each says where it comes from, and a thread that has ended meanwhile is `TaskGone`.
 *
 *               fallAsleep                    leaveHome
 *     asleep ◀───────────── home ──────────────────────────────▶ stub ──┐ changeStub
 *       │  ▲                ▲ ▲ ▲                               │ │ ▲ ◀─┘
 *       │  └─ fallAsleep ── │ │ └───────── comeHome ────────────┘ │ └──────────────┐
 *       └──── wakeUp ───────┘ │                                   └─ enterCall ─▶ call ──┐ leaveInCall
 *                             └──────────────── leaveCall ────────────────────────┘  ▲ ◀─┘
 *
 * | place | the thread's registers are | its vector state is |
 * | --- | --- | --- |
 * | home | the home task's | the home task's |
 * | asleep | those of the task that sleeps: the stub, or else the home | the same task's |
 * | stub | the stub task's | the stub task's |
 * | call | `Thread.caller`; the home executes a call with its arguments | the stub's, or `vectors` |
 * | gone | nobody's | nobody's |
 */
import { type Breakpoint, type Generation, HOME, type Request, type Thread } from './model.js';
import { TaskGone } from './steps.js';
import type { Task } from './task.js';

export type Place =
  | { readonly at: 'home' }
  | Asleep
  | { readonly at: 'stub'; readonly stub: Task }
  | {
      readonly at: 'call';
      /** Which system call. */
      readonly nr: number;
      /** Undefined once the thread has been moved while its home is inside the call. */
      readonly stub: Task | undefined;
      /** The vector state, when there is no stub that has it. */
      readonly vectors: Uint8Array | undefined;
      /** Kept for it, to go on in, when it has been moved and not to the base. */
      readonly next: Task | undefined;
    }
  | { readonly at: 'gone' };

/** In the kernel, and certain to be caught on the way out, before it executes an instruction. */
export interface Asleep {
  readonly at: 'asleep';
  /** Where it sleeps; undefined: at home. */
  readonly stub: Task | undefined;
  /** Undefined: it is caught by its call's end, a system-call stop; for that it had to be interrupted once. */
  readonly breakpoint: Breakpoint | undefined;
  readonly onWaking: Waking;
}

/** What a sleeper does as it wakes up: it goes on in the stub that is kept for it, does some work first, or nothing. */
export type Waking =
  | { readonly kind: 'moves'; readonly stub: Task }
  | { readonly kind: 'does'; readonly work: Request }
  | { readonly kind: 'stays' };

const GONE: Place = { at: 'gone' };

function expect<A extends Place['at']>(thread: Thread, ...allowed: A[]): Extract<Place, { at: A }> {
  const { place } = thread;
  if (place.at === 'gone') throw new TaskGone(thread.tid);
  if (!allowed.includes(place.at as A))
    throw new Error(`thread ${thread.tid} is at "${place.at}", not at "${allowed.join('" or "')}"`);
  return place as Extract<Place, { at: A }>;
}

function attach(thread: Thread, stub: Task): void {
  if (stub.thread) throw new Error(`stub ${stub.tid} has the thread ${stub.thread.tid} already`);
  stub.thread = thread;
}

/** The stub waits, stopped, for its generation's next thread. */
function detach(generation: Generation, stub: Task): void {
  stub.thread = undefined;
  giveBack(generation, stub);
}

/** A stub that was taken and is not needed. */
export function giveBack(generation: Generation, stub: Task): void {
  if (stub.thread || generation.spareStubs.includes(stub))
    throw new Error(`stub ${stub.tid} is given back, and is not the giver's`);
  if (!stub.gone && !generation.ended) generation.spareStubs.push(stub);
}

/** The state is in the stub now. */
export function leaveHome(thread: Thread, generation: Generation, stub: Task): void {
  expect(thread, 'home');
  attach(thread, stub);
  thread.place = { at: 'stub', stub };
  thread.generation = generation;
}

/** The state is in the other stub now. */
export function changeStub(thread: Thread, generation: Generation, stub: Task): void {
  const former = expect(thread, 'stub');
  detach(thread.generation, former.stub);
  attach(thread, stub);
  thread.place = { at: 'stub', stub };
  thread.generation = generation;
}

/** The state is in the home now. */
export function comeHome(thread: Thread): void {
  const { stub } = expect(thread, 'stub');
  detach(thread.generation, stub);
  thread.place = HOME;
  thread.generation = thread.process.space.base;
}

/** @param moving the generation in which the thread lives from now on, if it is to move there as it wakes up */
export function fallAsleep(
  thread: Thread,
  breakpoint: Breakpoint | undefined,
  onWaking: Waking,
  moving?: Generation,
): void {
  expect(thread, 'home', 'stub');
  breakpoint?.sleepers.add(thread);
  thread.place = { at: 'asleep', stub: thread.stub, breakpoint, onWaking };
  if (moving) thread.generation = moving;
}

/** A sleeper that will do something else as it wakes up. */
export function redirect(thread: Thread, onWaking: Waking, moving: Generation): void {
  const place = expect(thread, 'asleep');
  if (place.onWaking.kind === 'moves') giveBack(thread.generation, place.onWaking.stub);
  thread.place = { ...place, onWaking };
  thread.generation = moving;
}

/** The sleeper is awake, or expected no longer; who gets the answer has to do as it says. */
export function wakeUp(thread: Thread): Waking {
  const { stub, breakpoint, onWaking } = expect(thread, 'asleep');
  breakpoint?.sleepers.delete(thread);
  thread.place = stub ? { at: 'stub', stub } : HOME;
  return onWaking;
}

/** The home makes a call for the thread; `Thread.caller` has its registers. */
export function enterCall(thread: Thread, nr: number): void {
  const { stub } = expect(thread, 'stub');
  thread.place = { at: 'call', nr, stub, vectors: undefined, next: undefined };
}

/**
 * The thread is moved while its home is inside the call: nothing but the call's end is missing, and then it goes
 * on in `generation`.
 * @param next kept for it there; undefined for the base
 * @param vectors what the stub has, when the thread has one
 */
export function leaveInCall(
  thread: Thread,
  generation: Generation,
  next: Task | undefined,
  vectors: (stub: Task) => Uint8Array,
): void {
  const place = expect(thread, 'call');
  if (place.next) giveBack(thread.generation, place.next);
  thread.place = {
    at: 'call',
    nr: place.nr,
    stub: undefined,
    vectors: place.stub ? vectors(place.stub) : place.vectors,
    next,
  };
  if (place.stub) detach(thread.generation, place.stub);
  thread.generation = generation;
}

/**
 * The call is over; the thread is in its stub, or at home and has to go on in `next` if there is one.
 * @returns the vector state that was kept, when it is at home
 */
export function leaveCall(thread: Thread): {
  vectors: Uint8Array | undefined;
  next: Task | undefined;
} {
  const { stub, vectors, next } = expect(thread, 'call');
  thread.place = stub ? { at: 'stub', stub } : HOME;
  return { vectors, next };
}

/** From wherever it was. */
export function end(thread: Thread): void {
  const { place } = thread;
  thread.place = GONE;
  if (place.at === 'home' || place.at === 'gone') return;
  if (place.at === 'asleep') {
    place.breakpoint?.sleepers.delete(thread);
    if (place.onWaking.kind === 'moves') giveBack(thread.generation, place.onWaking.stub);
  }
  if (place.at === 'call' && place.next) giveBack(thread.generation, place.next);
  if (!place.stub) return;
  place.stub.thread = undefined;
  if (place.stub.stopped) giveBack(thread.generation, place.stub);
}
