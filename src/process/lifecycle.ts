/** Birth and end of processes and threads, as the tracer's events tell them. */
import { commandLine, executable, threadGroup } from '../linux/proc.js';
import type { Kernel } from './kernel.js';
import { Process, type Space, Thread } from './model.js';
import type { Task } from './task.js';

export function addProcess(kernel: Kernel, task: Task, space: Space, parent: Process | undefined): Thread {
  const process = new Process(task.tid, space, parent);
  space.users++;
  kernel.processes.set(process.pid, process);
  describe(process);
  kernel.emit('process-started', { pid: process.pid, parent: parent?.pid, command: process.command });
  return addThread(process, task);
}

/** Refreshes what exec changes. */
export function describe(process: Process): void {
  process.command = commandLine(process.pid);
  process.executable = executable(process.pid) ?? '';
}

export function addThread(process: Process, task: Task): Thread {
  const thread = new Thread(task.tid, task, process, process.space.base);
  process.threads.set(thread.tid, thread);
  return thread;
}

/** Takes in the child of a clone that shares its creator's memory: a thread, or a vfork child. */
export function adopt(kernel: Kernel, creator: Thread, child: Task): Thread {
  const { process } = creator;
  if (threadGroup(child.tid) === process.pid) {
    const thread = addThread(process, child);
    thread.ownTables = creator.ownTables;
    return thread;
  }
  return addProcess(kernel, child, process.space, process);
}

export function leaveSpace(space: Space): void {
  if (--space.users > 0) return;
  space.watched[Symbol.dispose]();
  space.store[Symbol.dispose]();
}

/** From here on nothing can be asked of the thread: it ends, or is about to. */
export function tellEnd(thread: Thread): void {
  thread.exited = true;
  thread.requests.length = 0;
  for (const tell of thread.onGone) tell();
  thread.onGone.clear();
}

/** The thread runs no more; its task's end is reported later, a leader's after all its threads'. */
export function threadExits(thread: Thread): void {
  const { process } = thread;
  process.threads.delete(thread.tid);
  tellEnd(thread);
  // A leader that has exited has no memory to look at any more.
  const [other] = process.threads.keys();
  if (other !== undefined && process.space.hostPid === thread.tid && process.space.users === 1)
    process.space.hostPid = other;
}

export function removeThread(kernel: Kernel, thread: Thread): void {
  thread.process.threads.delete(thread.tid);
  tellEnd(thread);
  thread.caughtAt?.sleepers.delete(thread);
  kernel.tasks.delete(thread.tid);
}
