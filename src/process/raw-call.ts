/**
 * Making a task perform a system call where there is no gate yet: the launcher, and a fresh image right
 * after exec. Any `syscall` instruction serves; system-call stops before and after it delimit the call.
 */
import { isSignalStop, isSyscallStop, stopSignal } from '../linux/wait.js';
import { ARGUMENTS, type Word } from '../x64/registers.js';
import type { Steps } from './steps.js';
import type { Task } from './task.js';

/**
 * @param at address of a `syscall` instruction in the task's memory
 * @returns the result; the task is left in the system-call exit stop
 */
export function* rawCall(task: Task, at: number, nr: number, ...args: Word[]): Steps<number> {
  const regs = task.fetch();
  regs.set('rip', at);
  regs.set('rax', nr);
  regs.set('orig_rax', -1);
  for (let i = 0; i < args.length; i++) regs.set(ARGUMENTS[i]!, args[i]!);
  task.commit();
  for (let stops = 0; stops < 2; ) {
    task.resumeToSyscall();
    yield* task.nextStop();
    if (isSyscallStop(task.status)) stops++;
    else if (isSignalStop(task.status)) task.postponed.push(stopSignal(task.status));
  }
  return task.fetch().signed('rax');
}
