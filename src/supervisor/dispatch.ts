/**
 * What every stop means. The loop hands each wait status to the program that waits for the task, or else to
 * here. Nothing in this file blocks.
 */
import { c } from '../linux/ffi.js';
import { parentOf, threadGroup } from '../linux/proc.js';
import * as ptrace from '../linux/ptrace.js';
import { SIGKILL, SIGSTOP } from '../linux/signals.js';
import {
  coreDumped,
  describeStatus,
  exitCode,
  isExited,
  isGone,
  isGroupStop,
  isSeccompStop,
  isSignalStop,
  isSyscallStop,
  PTRACE_EVENT_CLONE,
  PTRACE_EVENT_EXEC,
  PTRACE_EVENT_EXIT,
  PTRACE_EVENT_FORK,
  PTRACE_EVENT_STOP,
  PTRACE_EVENT_VFORK,
  PTRACE_EVENT_VFORK_DONE,
  stopEvent,
  stopSignal,
  termSignal,
} from '../linux/wait.js';
import { trapIsPending } from '../process/breakpoints.js';
import { convertImage } from '../process/convert.js';
import {
  endWithGenerations,
  exitLast,
  killGenerations,
  loseGeneration,
  reap,
  untilGone,
} from '../process/generation.js';
import { sleepsOn, wasAsleep, windBack } from '../process/hold.js';
import type { Kernel } from '../process/kernel.js';
import { addThread, describe, leaveSpace, removeThread, tellEnd, threadExits } from '../process/lifecycle.js';
import type { Process, Thread } from '../process/model.js';
import type { Steps } from '../process/steps.js';
import type { Task } from '../process/task.js';
import { letGo, occupy, serveRequests } from '../process/turns.js';
import { cloned, trapped } from '../syscalls/base.js';
import { stubStopped } from '../syscalls/stub.js';
import { atCallsEnd, homeSignal, parkedStopped, wakeUpAt } from '../process/signals.js';
import type { Ending } from './protocol.js';

const MILLISECONDS_TO_BE_CLAIMED = 1000;

export class Dispatcher {
  constructor(
    readonly kernel: Kernel,
    readonly onDoorbell: () => void,
    readonly onRootEnded: (ending: Ending) => void,
  ) {}

  /** Takes one report of wait4. */
  report(tid: number, status: number): void {
    const { kernel } = this;
    const task = kernel.task(tid);
    task.status = status;
    if (isGone(status)) {
      this.#gone(task);
      return;
    }
    task.stopped = true;
    if (stopEvent(status) === PTRACE_EVENT_EXEC && task.role === 'home') {
      // Whatever was being done for the old image's thread is over.
      const { waiter } = task;
      task.waiter = undefined;
      task.image++;
      this.#executed(task);
      if (waiter) kernel.scheduler.end(waiter);
      return;
    }
    if (stopEvent(status) === PTRACE_EVENT_EXIT) {
      // Nobody waits for this: the end itself follows, and that is what a waiting program is told.
      if (task.role === 'home') this.#exiting(task, task.thread!);
      else if (task.role === 'base-agent' && task.space?.baseAgent === task)
        kernel.scheduler.start(`end of ${task.tid}`, endWithGenerations(kernel, task, task.space));
      else task.resume();
      return;
    }
    if (task.waiter) {
      kernel.scheduler.wake(task);
      return;
    }
    switch (task.role) {
      case 'home':
        this.#homeStopped(task, task.thread!);
        return;
      case 'stub':
        stubStopped(kernel, task, task.thread);
        return;
      case 'doorbell':
        task.resume();
        this.onDoorbell();
        return;
      case 'base-agent':
        // An interrupt that was owed, or its part in a group-stop.
        if (isGroupStop(status)) task.listen();
        // SIGSTOP alone cannot be blocked, and whichever thread takes it stops the process.
        else if (isSignalStop(status)) task.resume(stopSignal(status) === SIGSTOP ? SIGSTOP : 0);
        // At the gate's marker it waits for its next call, as the other agents do.
        else if (stopEvent(status) === PTRACE_EVENT_STOP) task.resume();
        return;
      case 'agent':
        // Waits, stopped, for its next call.
        return;
      case 'launcher':
        return;
      case 'unknown':
        // Its creator's event tells who it is; if it has one.
        if (!this.#hasCreator(tid)) this.#suspectOrphan(task);
        return;
    }
  }

  #gone(task: Task): void {
    const { kernel } = this;
    task.gone = true;
    task.stopped = false;
    kernel.tasks.delete(task.tid);
    const { thread } = task;
    if (task.role === 'home' && thread) this.#homeGone(task, thread);
    else if (task.role === 'launcher') this.onRootEnded(endingOf(task.status));
    else if (task.role === 'base-agent' && task.space?.baseAgent === task) task.space.baseAgent = undefined;
    else if (task.role === 'agent' && task.space)
      loseGeneration(kernel, task.space, task, describeStatus(task.status));
    else if (task.role === 'stub' && thread?.stub === task && !thread.generation.ended) {
      // Killed from outside, by the OOM killer say: the thread cannot go on, so the process must not.
      kernel.emit('stub-lost', {
        pid: thread.process.pid,
        tid: thread.tid,
        generation: thread.generation.id,
        status: describeStatus(task.status),
      });
      c.kill(thread.process.pid, SIGKILL);
    }
    kernel.scheduler.wake(task);
  }

  #homeGone(task: Task, thread: Thread): void {
    const { process } = thread;
    removeThread(this.kernel, thread);
    if (task.tid !== process.pid) return;
    // The leader is reported last, when all its threads are gone (kernel/exit.c, delay_group_leader).
    process.ended = true;
    this.kernel.processes.delete(process.pid);
    if (process.space.users === 1) killGenerations(this.kernel, process.space);
    this.#lookForOrphans();
    leaveSpace(process.space, process.pid);
    this.kernel.emit('process-ended', { pid: process.pid, status: describeStatus(task.status) });
    if (process.pid === this.kernel.rootPid) this.onRootEnded(endingOf(task.status));
  }

  /**
   * A creator that was killed in the middle of a clone does not tell of its child, which waits at its birth stop for
   * good: natively it would live on, here it has the memory of a process that has ended.
   */
  #lookForOrphans(): void {
    for (const task of this.kernel.tasks.values()) if (task.role === 'unknown') this.#suspectOrphan(task);
  }

  /** Whether the process that a new task comes from is supervised: its own, or its parent. */
  #hasCreator(tid: number): boolean {
    const { processes } = this.kernel;
    return processes.has(threadGroup(tid)) || processes.has(parentOf(tid));
  }

  /** Its creator's event may still be on its way. */
  #suspectOrphan(task: Task): void {
    const { kernel } = this;
    kernel.setTimer(MILLISECONDS_TO_BE_CLAIMED, () => {
      if (task.gone || task.role !== 'unknown' || task.waiter) return;
      if (this.#hasCreator(task.tid)) return;
      kernel.emit('orphan-killed', { task: task.tid });
      c.kill(task.tid, SIGKILL);
    });
  }

  #homeStopped(task: Task, thread: Thread): void {
    const { kernel } = this;
    const { status } = task;
    thread.letThrough = false;
    const asleep = thread.place.at === 'asleep';
    if (thread.stub || thread.busy) {
      parkedStopped(kernel, thread);
      return;
    }
    if (isSeccompStop(status)) {
      if (asleep) {
        // It stood before this call when we thought that it slept in it.
        windBack((task.fetch(), task));
        wakeUpAt(kernel, thread);
      } else trapped(kernel, thread);
      return;
    }
    if (isSyscallStop(status)) {
      atCallsEnd(kernel, thread);
      return;
    }
    switch (stopEvent(status)) {
      case PTRACE_EVENT_VFORK_DONE:
        thread.vforkChild = undefined;
        letGo(thread);
        return;
      case PTRACE_EVENT_CLONE:
      case PTRACE_EVENT_FORK:
      case PTRACE_EVENT_VFORK:
        cloned(kernel, thread, kernel.task(ptrace.eventMessage(task.tid)));
        letGo(thread);
        return;
      case PTRACE_EVENT_STOP: {
        const wasHeld = thread.held;
        thread.held = isGroupStop(status);
        if (thread.held) {
          thread.process.space.hold?.arrived(thread);
          task.listen();
        } else if (trapIsPending(thread)) task.resume();
        else if (asleep && !sleepsOn(thread)) wakeUpAt(kernel, thread);
        else if (thread.requests.length > 0 && !thread.process.space.hold) serveRequests(kernel, thread);
        else {
          // For a hold; or nobody waits any more for what it was interrupted for. A stop by job control interrupts natively, too.
          if (!wasHeld || thread.process.space.hold) wasAsleep((task.fetch(), task));
          letGo(thread);
        }
        return;
      }
    }
    if (isSignalStop(status)) homeSignal(kernel, thread, stopSignal(status));
    else letGo(thread);
  }

  /** A fatal signal ends all threads at once: those that run elsewhere too. */
  #exiting(task: Task, thread: Thread): void {
    const FATAL_SIGNAL = 0x7f;
    const { space } = thread.process;
    const status = ptrace.eventMessage(task.tid);
    if (space.users === 1 && (status & FATAL_SIGNAL) !== 0) killGenerations(this.kernel, space);
    threadExits(this.kernel, thread);
    // The last one that exits decides the status (kernel/exit.c, synchronize_group_exit).
    if (thread.process.threads.size === 0 && space.hostProcess === thread.process && space.baseAgent)
      this.kernel.scheduler.start(
        `end of ${task.tid}`,
        exitLast(this.kernel, space.baseAgent, exitCode(status)),
      );
    task.resume();
  }

  /** A new image: reported under the leader's tid, whoever called (fs/exec.c, de_thread). */
  #executed(leader: Task): void {
    const { kernel } = this;
    const process = leader.thread!.process;
    const former = ptrace.eventMessage(leader.tid);
    if (former !== leader.tid) {
      const caller = kernel.tasks.get(former);
      if (caller) {
        caller.gone = true;
        kernel.tasks.delete(former);
        process.threads.delete(former);
        kernel.scheduler.wake(caller);
      }
    }
    // The leader's task lives on, its thread does not: whoever waits for either is told.
    for (const other of [...process.threads.values()]) {
      if (other.tid === leader.tid) tellEnd(other);
      else removeThread(kernel, other);
    }
    process.threads.clear();
    const thread = addThread(process, leader);
    occupy(kernel, thread, 'exec', this.#newImage(process, thread));
  }

  *#newImage(process: Process, thread: Thread): Steps<void> {
    const old = process.space;
    // A vfork child leaves its parent's image as it is.
    const agents = old.users === 1 ? [...old.generations.values()].flatMap(({ agent }) => agent ?? []) : [];
    if (old.users === 1) killGenerations(this.kernel, old);
    for (const agent of agents) yield* untilGone(this.kernel, agent);
    const space = yield* convertImage(this.kernel, thread.home);
    yield* reap(this.kernel, thread.home, agents);
    space.users = 1;
    process.space = space;
    process.patches.length = 0;
    space.hostProcess = process;
    thread.generation = space.base;
    leaveSpace(old, process.pid);
    describe(process);
    this.kernel.emit('executed', { pid: process.pid, command: process.command });
  }
}

const endingOf = (status: number): Ending =>
  isExited(status)
    ? { kind: 'exited', code: exitCode(status) }
    : { kind: 'signalled', signal: termSignal(status), core: coreDumped(status) };
