/** Our user-space kernel's own state: what every file below passes around. Owned by the tracing thread. */
import type { XstateArea } from '../linux/ptrace.js';
import { addressOf } from '../linux/ffi.js';
import { assembleGate, type Gate } from '../x64/gate.js';
import type { Process } from './model.js';
import { Condition, Scheduler, type Steps } from './steps.js';
import { Task } from './task.js';

export type Emit = (event: string, fields: Record<string, unknown>) => void;

/** XSAVE areas are below 16 KiB with AMX's tiles included (Intel SDM volume 1, 13.5). */
const XSTATE_BYTES = 32 * 1024;

export class Kernel {
  readonly tasks = new Map<number, Task>();
  readonly processes = new Map<number, Process>();
  readonly scheduler: Scheduler;
  readonly gate: Gate;
  readonly xstate: XstateArea;
  /** The kernel has MFD_EXEC (6.3 and newer) and may demand it (vm.memfd_noexec). */
  memfdFlags = 0;
  rootPid = 0;

  constructor(
    /** The store's descriptor in every supervised process. */
    readonly storeFd: number,
    readonly emit: Emit,
    readonly setTimer: (milliseconds: number, ring: () => void) => void,
    onDefect: (where: string, error: unknown) => void,
  ) {
    this.scheduler = new Scheduler({
      defect: (program, error) => onDefect(program.name, error),
      restless: ({ name }, measure) => emit('restless', { program: name, ...measure }),
    });
    this.gate = assembleGate(storeFd);
    const bytes = new Uint8Array(XSTATE_BYTES);
    this.xstate = { bytes, address: addressOf(bytes), length: bytes.length };
  }

  /** Resumes the calling program after a while; the clock is the control side's. */
  *sleep(milliseconds: number): Steps<void> {
    const over = new Condition(this.scheduler);
    this.setTimer(milliseconds, () => over.fulfil());
    yield* over.wait();
  }

  /**
   * Waits for the condition, not longer than until `deadline`.
   * @param deadline as performance.now() says
   * @returns whether it is fulfilled
   */
  *within(condition: Condition, deadline: number): Steps<boolean> {
    if (condition.fulfilled) return true;
    const program = this.scheduler.current;
    this.setTimer(Math.max(1, Math.ceil(deadline - performance.now())), () => {
      if (condition.waiter === program && program) this.scheduler.wake(condition);
    });
    yield condition;
    return condition.fulfilled;
  }

  task(tid: number): Task {
    let task = this.tasks.get(tid);
    if (!task) {
      task = new Task(tid);
      this.tasks.set(tid, task);
    }
    return task;
  }
}
