/**
 * Performing system calls on behalf of a thread that stands before one: in its home task, whether it lives
 * there or is parked there, and repeated in the other generations. One scope per mediated call.
 */
import { EINVAL, ENOMEM, isError } from '../linux/errno.js';
import { ProcessMemory } from '../linux/memory.js';
import { agentCall } from '../process/generation.js';
import { InjectionScope } from '../process/inject.js';
import type { Kernel } from '../process/kernel.js';
import { MAP_FIXED, MAP_FIXED_NOREPLACE } from '../process/mapping.js';
import { SYS } from '../linux/syscall-numbers.js';
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
      if (isError(result) && error === 0) {
        error = result;
        this.kernel.emit('mirror-failed', { nr, args, generation: generation.id, errno: -result });
      }
    }
    return error;
  }

  /**
   * A shared file mapping at the same address everywhere. Some files (io_uring's rings) refuse to be mapped at an
   * address: there the kernel's choice is moved.
   */
  *mapElsewhere(
    address: number,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): Steps<void> {
    const MREMAP_MAYMOVE_FIXED = 3;
    for (const generation of this.thread.process.space.generations.values()) {
      if (!generation.agent) continue;
      const perform = (nr: number, ...args: number[]): Steps<number> =>
        agentCall(this.kernel, generation, nr, ...args);
      const fixed = (flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED;
      let at = yield* perform(SYS.mmap, address, length, protection, fixed, fd, offset);
      if (at === -EINVAL) {
        at = yield* perform(
          SYS.mmap,
          0,
          length,
          protection,
          flags & ~(MAP_FIXED | MAP_FIXED_NOREPLACE),
          fd,
          offset,
        );
        if (!isError(at) && at !== address)
          at = yield* perform(SYS.mremap, at, length, length, MREMAP_MAYMOVE_FIXED, address);
      }
      if (at !== address)
        this.kernel.emit('mirror-failed', {
          nr: SYS.mmap,
          address,
          length,
          generation: generation.id,
          errno: -at,
        });
    }
  }

  /** Home first; where it succeeds, everywhere else too. */
  *everywhere(nr: number, ...args: number[]): Steps<number> {
    const result = yield* this.home(nr, ...args);
    // Over a hole, mprotect and madvise do the part before it, and say ENOMEM.
    if (!isError(result) || result === -ENOMEM) yield* this.elsewhere(nr, ...args);
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
