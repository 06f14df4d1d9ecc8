/**
 * Performing system calls on behalf of a thread that stands before one: in its home task, whether it lives
 * there or is parked there, and repeated in the other generations. One scope per mediated call.
 */
import { EACCES, EAGAIN, ENOMEM, EPERM, isError } from '../linux/errno.js';
import { isHiding } from '../linux/kept-open.js';
import { ProcessMemory } from '../linux/memory.js';
import { SYS } from '../linux/syscall-numbers.js';
import { isSyscallStop } from '../linux/wait.js';
import { type Answers, callElsewhere, giveUpDiffering } from '../process/elsewhere.js';
import { park } from '../process/generation.js';
import { type BatchEntry, InjectionScope } from '../process/inject.js';
import type { Kernel } from '../process/kernel.js';
import type { Thread } from '../process/model.js';
import { stopParked } from '../process/parking.js';
import type { Steps } from '../process/steps.js';
import { ARGUMENTS, Registers, type Word } from '../x64/registers.js';

/** Over several areas the kernel goes on until one refuses, and what it did before stays (mprotect(2), mlock(2)). */
const PARTLY_DONE: ReadonlySet<number> = new Set([ENOMEM, EACCES, EPERM, EAGAIN]);

const PR_SET_DUMPABLE = 4;

export class Performer {
  /** The registers at the call that the thread stands before. */
  readonly callerRegs = new Registers();
  /** Once anything but the thread's own call had to be made. */
  #scope: InjectionScope | undefined;
  /** The thread's own call has been made by its home, as it stood. */
  #made = false;

  constructor(
    readonly kernel: Kernel,
    readonly thread: Thread,
  ) {
    this.callerRegs.assign(thread.runner.fetch());
  }

  /** The base's memory, to be closed by the caller. */
  openBase(): ProcessMemory {
    return new ProcessMemory(this.thread.home.tid);
  }

  /**
   * Opens files of the home in /proc. A process that the kernel hides is shown for that moment; whether it was
   * hidden as 0 or as 2 (only core dumps tell the difference), it is 0 afterwards.
   */
  *shown<T>(open: () => T): Steps<T> {
    try {
      return open();
    } catch (error) {
      if (!isHiding(error)) throw error;
    }
    yield* this.home(SYS.prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
    try {
      return open();
    } finally {
      yield* this.home(SYS.prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
  }

  /** One call in the base's address space. */
  *home(nr: number, ...args: Word[]): Steps<number> {
    if (this.#isOwnCall(nr, args)) return yield* this.#makeOwnCall();
    if (!this.#scope) {
      if (this.thread.stub) yield* stopParked(this.thread);
      this.#scope = new InjectionScope(this.kernel, this.thread.home);
    }
    return yield* this.#scope.call(nr, ...args);
  }

  /** A home that stands before this very call makes it where it is: half the work of sending it to the gate. */
  #isOwnCall(nr: number, args: readonly Word[]): boolean {
    const { callerRegs: regs, thread } = this;
    if (thread.stub || this.#scope || this.#made || nr !== regs.signed('orig_rax')) return false;
    return args.every((arg, index) => arg === regs.word(ARGUMENTS[index]!));
  }

  *#makeOwnCall(): Steps<number> {
    const { home } = this.thread;
    this.#made = true;
    do {
      home.resumeToSyscall();
      yield* home.nextStop();
    } while (!isSyscallStop(home.status));
    return home.fetch().signed('rax');
  }

  /** The thread's own call, word for word. */
  own(): Steps<number> {
    const { callerRegs: regs } = this;
    return this.home(regs.signed('orig_rax'), ...ARGUMENTS.map((register) => regs.word(register)));
  }

  /**
   * The same calls in every other generation. What fails there cannot be undone here: a generation that
   * differs afterwards is given up.
   * @param expected the results at home, where these are errors: a part may be done all the same
   */
  *elsewhere(calls: readonly BatchEntry[], expected: readonly number[] = []): Steps<void> {
    const answers = yield* this.tryElsewhere(calls);
    yield* this.settleDifferences(calls, answers, expected);
  }

  tryElsewhere(calls: readonly BatchEntry[]): Steps<Answers[]> {
    return callElsewhere(this.kernel, this.thread.process.space, calls);
  }

  *settleDifferences(
    calls: readonly BatchEntry[],
    answers: readonly Answers[],
    expected: readonly number[] = [],
  ): Steps<void> {
    for (const { generation, results } of answers) {
      const at = results.findIndex((result, index) => {
        const athome = expected[index] ?? 0;
        return isError(athome) ? result !== athome : isError(result);
      });
      if (at < 0) continue;
      this.kernel.emit('mirror-failed', {
        call: calls[at]!.map(String),
        generation: generation.id,
        errno: -results[at]!,
      });
      yield* giveUpDiffering(this.kernel, this.thread.process, generation);
    }
  }

  /** Home first, then everywhere else; where home says that a part was done, that part too. */
  *everywhere(nr: number, ...args: Word[]): Steps<number> {
    const result = yield* this.home(nr, ...args);
    if (!isError(result) || PARTLY_DONE.has(-result)) yield* this.elsewhere([[nr, ...args]], [result]);
    return result;
  }

  /** Ends the mediated call with `result`; the thread's runner is left stopped, ready to go on. */
  *close(result: number): Steps<void> {
    const { stub, home } = this.thread;
    const scope = this.#scope;
    if (stub) {
      if (scope) {
        // It sleeps on, from the start: its place in the gate's sleep is nothing to restore.
        scope.restoreSignals();
        park(this.kernel, home);
      }
      stub.fetch();
      stub.regs.set('rax', result);
      stub.regs.set('orig_rax', -1);
      stub.commit();
    } else if (scope) {
      scope.saved.set('rax', result);
      scope.saved.set('orig_rax', -1);
      yield* scope.restore();
    } else if (!this.#made || home.regs.signed('rax') !== result) {
      home.regs.set('rax', result);
      home.regs.set('orig_rax', -1);
      home.commit();
    }
  }
}
