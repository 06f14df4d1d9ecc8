/**
 * Performing system calls on behalf of a thread that stands before one: in its home task, whether it lives
 * there or is parked there, and repeated in the other generations. One scope per mediated call.
 */
import { ProcessMemory } from '../linux/memory.js';
import { agentCall } from '../process/generation.js';
import { InjectionScope } from '../process/inject.js';
import type { Kernel } from '../process/kernel.js';
import type { Thread } from '../process/model.js';
import { stopParked } from '../process/parking.js';
import type { Registers } from '../x64/registers.js';
import type { Steps } from '../process/steps.js';

export class Performer {
  readonly #scope: InjectionScope;

  private constructor(
    readonly kernel: Kernel,
    readonly thread: Thread,
  ) {
    this.#scope = new InjectionScope(kernel, thread.home);
  }

  static *open(kernel: Kernel, thread: Thread): Steps<Performer> {
    if (thread.stub) yield* stopParked(thread);
    return new Performer(kernel, thread);
  }

  /** The caller's registers at its call, when the caller lives at home. */
  get callerRegs(): Registers {
    return this.#scope.saved;
  }

  /** The base's memory, to be closed by the caller. */
  openBase(): ProcessMemory {
    return new ProcessMemory(this.thread.home.tid);
  }

  /** One call in the base's address space. */
  home(nr: number, ...args: number[]): Steps<number> {
    return this.#scope.call(nr, ...args);
  }

  /** The same call in every other generation's address space. @returns the first error, or 0 */
  *elsewhere(nr: number, ...args: number[]): Steps<number> {
    let error = 0;
    for (const generation of this.thread.process.space.generations.values()) {
      if (!generation.agent) continue;
      const result = yield* agentCall(this.kernel, generation, nr, ...args);
      if (result < 0 && error === 0) {
        error = result;
        this.kernel.emit('mirror-failed', { nr, args, generation: generation.id, errno: -result });
      }
    }
    return error;
  }

  /** Home first; where it succeeds, everywhere else too. */
  *everywhere(nr: number, ...args: number[]): Steps<number> {
    const result = yield* this.home(nr, ...args);
    if (result >= 0 || result < -4095) yield* this.elsewhere(nr, ...args);
    return result;
  }

  /** Ends the mediated call with `result`; the thread's runner is left stopped, ready to go on. */
  *close(result: number): Steps<void> {
    const { stub, home } = this.thread;
    if (stub) {
      yield* this.#scope.restore();
      home.resume();
      stub.fetch();
      stub.regs.set('rax', result);
      stub.regs.set('orig_rax', -1);
      stub.commit();
    } else {
      this.#scope.saved.set('rax', result);
      this.#scope.saved.set('orig_rax', -1);
      yield* this.#scope.restore();
    }
  }
}
