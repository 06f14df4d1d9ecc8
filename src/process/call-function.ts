/**
 * Calling a function of the program, by a task of ours, on a stack and with a thread control block of its own. It is
 * for functions that take no lock which a stopped thread could hold for long.
 */
import { AtlasError } from '../errors/atlas-error.js';
import { SYS } from '../linux/syscall-numbers.js';
import { isSeccompStop, isSignalStop, PTRACE_EVENT_STOP, stopEvent, stopSignal } from '../linux/wait.js';
import { ARGUMENTS } from '../x64/registers.js';
import { atMarker } from './inject.js';
import type { Kernel } from './kernel.js';
import type { Steps } from './steps.js';
import type { Task } from './task.js';

export interface FunctionCall {
  function: number;
  arguments: readonly number[];
  /** Code that calls rbx, loads a harmless system call's number into rax, and goes to r12. */
  trampoline: number;
  /** The end of a stack that nobody uses. */
  stack: number;
  /** A thread control block. */
  threadPointer: number;
}

/** Milliseconds. The function does little; it may wait for a thread that does as little in the same lock. */
const LONGEST_CALL = 2000;
const LONGEST_PAUSE = 1;

/**
 * @param task a stopped task of ours in the program's address space, with all signals blocked; its registers are lost
 */
export function* callFunction(kernel: Kernel, task: Task, call: FunctionCall): Steps<void> {
  const regs = task.fetch();
  const base = regs.get('fs_base');
  const stack = regs.get('rsp');
  regs.set('rip', call.trampoline);
  regs.set('orig_rax', -1);
  regs.set('rbx', call.function);
  regs.set('r12', kernel.gate.call);
  regs.set('rsp', call.stack);
  regs.set('fs_base', call.threadPointer);
  for (const [index, value] of call.arguments.entries()) regs.set(ARGUMENTS[index]!, value);
  task.commit();
  const deadline = performance.now() + LONGEST_CALL;
  let isOver = false;
  kernel.setTimer(LONGEST_CALL, () => {
    if (!isOver && !task.gone && !task.stopped) task.interrupt();
  });
  try {
    while (!(yield* runOn(kernel, task))) {
      if (performance.now() < deadline) continue;
      throw new AtlasError(
        'refused',
        `A lock of the program was held for ${LONGEST_CALL} ms: the patch's frames could not be registered.`,
        'Is the program stopped? Try again later.',
      );
    }
  } finally {
    isOver = true;
    if (!task.gone && task.stopped) {
      task.fetch().set('fs_base', base);
      task.regs.set('rsp', stack);
      task.regs.set('orig_rax', -1);
      task.commit();
    }
  }
}

/** @returns whether the function has returned */
function* runOn(kernel: Kernel, task: Task): Steps<boolean> {
  task.resume();
  yield* task.nextStop();
  if (atMarker(task)) return true;
  if (isSeccompStop(task.status) && task.fetch().get('orig_rax') === SYS.futex) {
    // It waits for a lock: whoever has it runs on meanwhile. Woken for no reason, it looks again (futex(2)).
    task.regs.set('orig_rax', -1);
    task.regs.set('rax', 0);
    task.commit();
    yield* kernel.sleep(LONGEST_PAUSE);
    return false;
  }
  if (stopEvent(task.status) === PTRACE_EVENT_STOP || isSeccompStop(task.status)) return false;
  if (isSignalStop(task.status)) {
    throw new Error(`signal ${stopSignal(task.status)} in a function of the program, called by ${task.tid}`);
  }
  return false;
}
