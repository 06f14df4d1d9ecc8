/**
 * Making a stopped task perform a system call for us. The call runs at the gate and ends with the marker:
 * one stop, no signal involved, nothing to step over.
 *
 * The task must be at a stop from which its registers may be replaced: see `InjectionScope`.
 */
import * as ptrace from '../linux/ptrace.js';
import { GATE_LISTS, GATE_LIST_ENTRIES, GATE_FREE_END, GATE_START, MARKER } from '../x64/gate.js';
import { ARGUMENTS, Registers, type Word } from '../x64/registers.js';
import { c } from '../linux/ffi.js';
import { threadGroup } from '../linux/proc.js';
import { SYS } from '../linux/syscall-numbers.js';
import { isRestart } from '../linux/errno.js';
import {
  isSeccompStop,
  isSignalStop,
  PTRACE_EVENT_CLONE,
  PTRACE_EVENT_FORK,
  PTRACE_EVENT_STOP,
  stopEvent,
  stopSignal,
} from '../linux/wait.js';
import type { Kernel } from './kernel.js';
import type { Store } from '../memory/store.js';
import type { Steps } from './steps.js';
import type { Task } from './task.js';

const ALL_SIGNALS = new Uint8Array(ptrace.SIGSET_SIZE).fill(0xff);

/** Whether the task is stopped at the gate's marker: the call is done, its result is in rdi. */
export function atMarker(task: Task): boolean {
  if (!isSeccompStop(task.status)) return false;
  const regs = task.fetch();
  const rip = regs.get('rip');
  return regs.signed('orig_rax') === MARKER && rip >= GATE_START && rip < GATE_FREE_END;
}

/** Sends the task to the gate with a call in its registers; it reports at the marker. */
export function aimAtGate(kernel: Kernel, task: Task, nr: number, args: readonly Word[]): void {
  const { regs } = task;
  regs.set('rip', kernel.gate.call);
  regs.set('rax', nr);
  regs.set('orig_rax', -1);
  for (let i = 0; i < args.length; i++) regs.set(ARGUMENTS[i]!, args[i]!);
  task.commit();
}

/**
 * Runs the aimed task until the marker; returns the call's result. Signals are expected to be blocked.
 * @param meanwhile is done while the call is under way
 */
export function* untilMarker(task: Task, meanwhile?: () => void): Steps<number> {
  task.resume();
  meanwhile?.();
  return yield* arrivalAtMarker(task);
}

/** The same for a task that runs already, or has arrived meanwhile. */
export function* arrivalAtMarker(task: Task): Steps<number> {
  for (;;) {
    if (!task.stopped) yield* task.nextStop();
    if (atMarker(task)) return task.regs.signed('rdi');
    const event = stopEvent(task.status);
    if (event === PTRACE_EVENT_CLONE || event === PTRACE_EVENT_FORK)
      task.newborn = ptrace.eventMessage(task.tid);
    // A clone's own event, an interrupt that was owed, SIGSTOP: the call goes on.
    // All signals are blocked; SIGSTOP cannot be. It is sent again when the task is given back.
    if (isSignalStop(task.status)) task.postponed.push(stopSignal(task.status));
    task.resume();
  }
}

/** One system call by a task whose registers nobody needs (an agent, or inside a scope). */
export function* call(kernel: Kernel, task: Task, nr: number, ...args: Word[]): Steps<number> {
  task.fetch();
  aimAtGate(kernel, task, nr, args);
  return yield* untilMarker(task);
}

export type BatchEntry = readonly [nr: number, ...args: Word[]];

/** Words of a list's entry: the number, six arguments, the result. */
const ENTRY_WORDS = 8;
const ENTRY_BYTES = ENTRY_WORDS * 8;

/**
 * Many system calls with one stop. The list lies in the store at GATE_LISTS, so one batch per space at a
 * time; results come back in order.
 */
export function* batch(
  kernel: Kernel,
  task: Task,
  store: Store,
  entries: readonly BatchEntry[],
): Steps<number[]> {
  const results: number[] = [];
  for (let from = 0; from < entries.length; from += GATE_LIST_ENTRIES) {
    const part = entries.slice(from, from + GATE_LIST_ENTRIES);
    aimAtList(kernel, task, store, part, 0);
    yield* untilMarker(task);
    results.push(...resultsOf(store, part.length, 0));
  }
  return results;
}

/** Sends the task to the gate with a list of calls. @param first place in the list area */
export function aimAtList(
  kernel: Kernel,
  task: Task,
  store: Store,
  entries: readonly BatchEntry[],
  first: number,
): void {
  const list = new BigInt64Array(entries.length * ENTRY_WORDS);
  for (const [index, entry] of entries.entries()) {
    for (const [word, value] of entry.entries()) list[index * ENTRY_WORDS + word] = BigInt(value);
  }
  store.write(GATE_LISTS + first * ENTRY_BYTES, new Uint8Array(list.buffer));
  task.fetch();
  aimAtGate(kernel, task, 0, []);
  task.regs.set('rip', kernel.gate.batch);
  task.regs.set('rbx', GATE_LISTS + first * ENTRY_BYTES);
  task.regs.set('r12', entries.length);
  task.commit();
}

export function resultsOf(store: Store, count: number, first: number): number[] {
  const list = new BigInt64Array(count * ENTRY_WORDS);
  store.read(GATE_LISTS + first * ENTRY_BYTES, new Uint8Array(list.buffer));
  return Array.from({ length: count }, (_, index) => Number(list[index * ENTRY_WORDS + ENTRY_WORDS - 1]));
}

/**
 * Borrows a program's thread for `work`: remembers registers and signal mask, blocks all signals, and gives both
 * back, however the work ends. The task must be stopped, and is left stopped; a call it was interrupted in is
 * restarted by the kernel afterwards, as after any stop (ptrace(2), "Syscall-stops").
 */
export function* borrow<T>(kernel: Kernel, task: Task, work: (scope: InjectionScope) => Steps<T>): Steps<T> {
  const scope = new InjectionScope(kernel, task);
  try {
    return yield* work(scope);
  } finally {
    yield* scope.restore();
  }
}

/** What `borrow` does, for those whose work ends elsewhere. */
export class InjectionScope {
  readonly #saved = new Registers();
  readonly #mask = new Uint8Array(ptrace.SIGSET_SIZE);
  readonly #image: number;

  constructor(
    readonly kernel: Kernel,
    readonly task: Task,
  ) {
    this.#image = task.image;
    this.#saved.assign(task.fetch());
    ptrace.getSigmask(task.tid, this.#mask);
    ptrace.setSigmask(task.tid, ALL_SIGNALS);
  }

  call(nr: number, ...args: Word[]): Steps<number> {
    return call(this.kernel, this.task, nr, ...args);
  }

  /** The registers that `restore` will give back; changes to them take effect. */
  get saved(): Registers {
    return this.#saved;
  }

  /** For a task that goes elsewhere than it was: it gets its signals back, and its registers are the caller's to set. */
  restoreSignals(): void {
    const { task } = this;
    ptrace.setSigmask(task.tid, this.#mask);
    for (const signal of task.postponed.splice(0))
      c.syscall3(SYS.tgkill, threadGroup(task.tid), task.tid, signal);
  }

  /** Leaves the task stopped, as it was found; unless it has ended, or executes another program. */
  *restore(): Steps<void> {
    const { task } = this;
    if (task.gone || task.image !== this.#image) return;
    const restarts = this.#saved.signed('orig_rax') >= 0 && isRestart(this.#saved.signed('rax'));
    if (restarts) {
      // The kernel looks at restart codes only on its way out through signal work: an interrupt takes it there.
      task.fetch();
      task.regs.set('orig_rax', -1);
      task.commit();
      do {
        task.resumeToInterrupt();
        yield* task.nextStop();
      } while (stopEvent(task.status) !== PTRACE_EVENT_STOP);
    }
    task.regs.assign(this.#saved);
    if (!restarts) task.regs.set('orig_rax', -1);
    task.commit();
    this.restoreSignals();
  }
}
