/** Birth and end of processes and threads, as the tracer's events tell them. */
import { commandLine, executable, threadGroup } from '../linux/proc.js';
import { forgetThread } from './breakpoints.js';
import type { Kernel } from './kernel.js';
import { Process, type Space, Thread } from './model.js';
import { end } from './place.js';
import type { Task } from './task.js';

export function addProcess(kernel: Kernel, task: Task, space: Space, parent: Process | undefined): Thread {
  const process = new Process(task.tid, space, parent);
  space.users++;
  space.files.serve(task.tid);
  space.hostProcess ??= process;
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

/** A fork's child: it goes on with its creator's patches, as far as its creator had them. */
export function addForked(kernel: Kernel, creator: Thread, child: Task, space: Space): Thread {
  const { process, generation } = creator;
  const born = addProcess(kernel, child, space, process);
  // In the middle of a rollout its text is that of its creator's generation (fork.ts).
  const has = process.patches.filter(({ state }) => state === 'settled' || generation.agent !== undefined);
  born.process.patches.push(...has.map((patch) => ({ ...patch, state: 'settled' as const })));
  born.alternateStack = creator.alternateStack;
  return born;
}

export function leaveSpace(space: Space, pid: number): void {
  space.files.leave(pid);
  if (--space.users > 0) return;
  space.watched[Symbol.dispose]();
  space.store[Symbol.dispose]();
  space.files[Symbol.dispose]();
}

/** From here on nothing can be asked of the thread: it ends, or is about to. */
export function tellEnd(thread: Thread): void {
  end(thread);
  forgetThread(thread);
  thread.requests.length = 0;
  for (const tell of thread.onGone) tell();
  thread.onGone.clear();
}

/** The thread runs no more; its task's end is reported later, a leader's after all its threads'. */
export function threadExits(kernel: Kernel, thread: Thread): void {
  const { process } = thread;
  process.threads.delete(thread.tid);
  // A leader that has exited has no memory to look at any more.
  if (process.space.hostPid === thread.tid) renewHost(kernel, process.space);
  tellEnd(thread);
}

/** Through another thread of the space, its memory is still there to look at. */
function renewHost(kernel: Kernel, space: Space): void {
  for (const process of kernel.processes.values()) {
    const [tid] = process.space === space ? process.threads.keys() : [];
    if (tid === undefined) continue;
    space.hostPid = tid;
    return;
  }
}

export function removeThread(kernel: Kernel, thread: Thread): void {
  thread.process.threads.delete(thread.tid);
  tellEnd(thread);
  kernel.tasks.delete(thread.tid);
}
