/**
 * Making and ending a generation. The base's agent, a thread that no program code ever runs in, performs
 * the clone: no thread of the program pauses for it.
 */
import { statSync } from 'node:fs';
import { AtlasError } from '../errors/atlas-error.js';
import { Gone } from '../errors/gone.js';
import { isError } from '../linux/errno.js';
import { areasNotForked, hasSignalfd, isHidden, type MapsLine, readMaps } from '../linux/proc.js';
import * as ptrace from '../linux/ptrace.js';
import { SIGKILL, SIGTTIN, SIGTTOU } from '../linux/signals.js';
import { PTRACE_EVENT_EXIT, stopEvent } from '../linux/wait.js';
import { SYS } from '../linux/syscall-numbers.js';
import { c } from '../linux/ffi.js';
import { PAGE } from '../memory/store.js';
import { GATE_LISTS } from '../x64/gate.js';
import { forgetSleeper, sleepingPlace } from './breakpoints.js';
import type { Word } from '../x64/registers.js';
import { setAllBlocked } from './convert.js';
import { birthOf } from './fork.js';
import { closeGate, openGate, untilGateIsEmpty } from './gate-mode.js';
import { askWithin, wasAsleep } from './hold.js';
import { aimAtGate, batch, borrow, call, untilMarker } from './inject.js';
import type { Kernel } from './kernel.js';
import { borrowable, Loan, Rank } from './loan.js';
import { isStoreArea } from './mapping.js';
import { Generation, type Process, type Space, type Thread } from './model.js';
import { leaveInCall } from './place.js';
import { setStubMask } from './raised.js';
import { type Steps, TaskGone } from './steps.js';
import type { Task } from './task.js';
import { TextCopy } from './text.js';
import { timeOutOf } from './time-outs.js';

const CLONE_VM = 0x100;
const CLONE_FS = 0x200;
const CLONE_FILES = 0x400;
const CLONE_SIGHAND = 0x800;
const CLONE_THREAD = 0x10000;
const CLONE_SYSVSEM = 0x40000;
/** A further thread of the caller's host process. */
const THREAD_FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
/** A host process with the same files and working directory, and its own copy of the address space. */
const GENERATION_FLAGS = CLONE_FS | CLONE_FILES | CLONE_SYSVSEM;
const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_SET_MODE_FILTER = 1;
/** struct kernel_sigaction { handler, flags, restorer, mask } */
const KERNEL_SIGACTION_BYTES = 32;
const WALL = 0x40000000;
/** Milliseconds. */
const LONGEST_VFORK = 1000;
/** Milliseconds that one of the program's threads may take to come to a stop, before another one is asked. */
const LONGEST_BORROWING = 1000;
const MADV_DONTFORK = 10;
const MADV_DOFORK = 11;

/** Builds the additional filter of stub tasks. */
export type StubFilter = (signalfdInUse: boolean) => Uint8Array;

/** @param deadline for what it has to wait for, as performance.now() says */
export function* createGeneration(
  kernel: Kernel,
  process: Process,
  filter: StubFilter,
  deadline: number,
): Steps<Generation> {
  const { space } = process;
  if (isHidden(process.pid)) {
    throw new AtlasError(
      'refused',
      `Process ${process.pid} is not dumpable: the kernel hides it from its own user (prctl(2), PR_SET_DUMPABLE).`,
      'Run Atlas as root to give it further generations.',
    );
  }
  using _turn = yield* space.generationLock.acquire();
  yield* untilAlone(kernel, process, deadline);
  try {
    yield* ensureBaseAgent(kernel, process, deadline);
    using _lock = yield* space.lock.acquire();
    let privateMemory: MapsLine | undefined;
    let signalfdInUse = false;
    using copy = new TextCopy(space.base);
    // The kernel copies the areas on another core while we look at them.
    const agent = yield* cloneBase(kernel, space, space.baseAgent!, () => {
      privateMemory = findPrivateMemory(process);
      signalfdInUse = hasSignalfd(process.pid);
    });
    try {
      if (process.ended || process.space !== space) throw new TaskGone(agent.tid);
      if (privateMemory) refuse(process, privateMemory);
      yield* prepareStubProcess(kernel, space, agent, filter(signalfdInUse));
      copy.clean(agent.tid);
    } catch (error) {
      yield* endHostProcess(kernel, space, agent.tid, [agent]);
      throw error;
    }
    if (process.ended || process.space !== space) throw new TaskGone(agent.tid);
    const generation = new Generation(kernel.scheduler, space.nextGeneration++, () => agent.tid, agent);
    space.generations.set(generation.id, generation);
    kernel.emit('generation-created', { pid: process.pid, generation: generation.id, host: agent.tid });
    return generation;
  } catch (error) {
    if (space.generations.size === 1) yield* becomePlain(kernel, space);
    throw error;
  }
}

/** A vfork child executes its program in a moment; who shares the memory for longer would stay behind. */
function* untilAlone(kernel: Kernel, process: Process, deadline: number): Steps<void> {
  const { space } = process;
  const latest = Math.min(deadline, performance.now() + LONGEST_VFORK);
  while (space.users > 1 && performance.now() < latest) yield* kernel.sleep(1);
  if (space.users === 1) return;
  const others = [...kernel.processes.values()].filter((other) => other.space === space && other !== process);
  const waitedFor = [...process.threads.values()].some((thread) => others.includes(thread.vforkChild!));
  throw new AtlasError(
    'refused',
    `Process ${process.pid} shares its memory with process ${others.map(({ pid }) => pid).join(', ')}, made by ${waitedFor ? 'vfork' : 'clone with CLONE_VM'}.`,
    'It would not live in the new generation: possible once it has ended or executes another program.',
  );
}

/**
 * The base's helper; from here on memory calls go by way of the supervisor. The generation lock
 * is held; not the space's, which a thread that is borrowed may stand before.
 */
export function* ensureBaseAgent(kernel: Kernel, process: Process, deadline: number): Steps<Task> {
  const { space } = process;
  closeGate(space, 'wantsPlural');
  try {
    const agent = space.baseAgent ?? (yield* makeBaseAgent(kernel, process, deadline));
    space.baseAgent = agent;
    yield* untilNoneIsLetThrough(kernel, process, deadline);
    yield* untilGateIsEmpty(kernel, space, deadline);
    return agent;
  } catch (error) {
    if (space.generations.size === 1) yield* becomePlain(kernel, space);
    throw error;
  }
}

/** Memory calls that were let through while there was one address space only: they are over once the thread stops. */
function* untilNoneIsLetThrough(kernel: Kernel, process: Process, deadline: number): Steps<void> {
  for (const thread of [...process.threads.values()]) {
    if (!thread.letThrough) continue;
    const sleeping = sleepingPlace(thread);
    // No memory call has one: it has come back from its own.
    if (sleeping && timeOutOf(sleeping, thread, thread.home)) continue;
    const stopped = yield* askWithin(kernel, thread, deadline, function* (held): Steps<void> {
      wasAsleep((held.home.fetch(), held.home));
    });
    if (stopped === 'late') {
      throw new AtlasError(
        'not-finished',
        `Thread ${thread.tid} of process ${process.pid} is inside a memory call, or stopped.`,
        'Try again when it is over.',
      );
    }
  }
}

/** Sends the helper away if no further generation needs it. */
export function* releaseBaseAgent(kernel: Kernel, process: Process): Steps<void> {
  const { space } = process;
  if (process.ended) return;
  using _turn = yield* space.generationLock.acquire();
  using _lock = yield* space.lock.acquire();
  if (space.generations.size === 1) yield* becomePlain(kernel, space);
}

/** A mapping behind the end of its file: nothing can be in it. */
function isBehindEnd(area: MapsLine): boolean {
  try {
    return area.inode !== 0 && area.offset >= statSync(area.name).size;
  } catch {
    // Deleted or hidden: it may hold something.
    return false;
  }
}

/** What a generation would copy instead of share. */
function findPrivateMemory(process: Process): MapsLine | undefined {
  return readMaps(process.space.hostPid).find((area) => {
    if (area.permissions[1] !== 'w' || area.permissions[3] !== 'p' || area.name === '[stack]') return false;
    const strings = area.end - area.start <= 64 * PAGE && area.inode === 0 && area.start > 0x7f00_0000_0000;
    return !strings && !isBehindEnd(area);
  });
}

function refuse({ pid }: Process, { start, name }: MapsLine): never {
  throw new AtlasError(
    'refused',
    `Process ${pid} has private writable memory at 0x${start.toString(16)} (${name || 'anonymous'}).`,
    'It would not be shared between generations; this kind of mapping is not supported.',
  );
}

function* makeBaseAgent(kernel: Kernel, process: Process, deadline: number): Steps<Task> {
  using loan = new Loan(kernel, THREAD_FLAGS);
  do {
    for (const { thread, rank } of borrowable(process)) {
      if (rank === Rank.onReturn) loan.expect(thread);
      else yield* loan.ask(thread, Math.min(deadline, performance.now() + LONGEST_BORROWING));
      if (loan.newborn || loan.refusal !== 0) break;
    }
    if (!loan.newborn && loan.refusal === 0) yield* kernel.sleep(1);
    if (loan.refusal !== 0) throw noFurtherTask('process', loan.refusal);
    if (loan.newborn) return yield* asBaseAgent(loan.newborn, process.space);
  } while (performance.now() < deadline && !process.ended);
  const asleep = loan.expected;
  throw new AtlasError(
    'refused',
    `No thread of process ${process.pid} could be borrowed: all are ${asleep ? `asleep in calls that must not be interrupted (${asleep})` : 'stopped, at work with Atlas, or ending'}.`,
    'See `atlas threads`, and try again.',
  );
}

function* asBaseAgent(newborn: Task, space: Space): Steps<Task> {
  // Until then it is nobody's, and left at its birth stop.
  yield* birthOf(newborn);
  setAllBlocked(newborn.tid);
  return ours(newborn, 'base-agent', space);
}

/** A task that belongs to Atlas: it ends with the space that it serves. */
function ours(task: Task, role: 'base-agent' | 'agent' | 'stub', space: Space): Task {
  task.role = role;
  task.space = space;
  return task;
}

const noFurtherTask = (what: 'process' | 'task', errno: number): AtlasError =>
  new AtlasError(
    'refused',
    `The kernel refused a further ${what} (errno ${errno}).`,
    'Check RLIMIT_NPROC and the pids cgroup.',
  );

/** Sends a stopped task of ours to sleep in the gate. */
export function park(kernel: Kernel, task: Task): void {
  task.fetch();
  task.regs.set('rip', kernel.gate.park);
  task.regs.set('orig_rax', -1);
  task.commit();
  task.resume();
}

/** Wakes the parked base agent for a few calls, and parks it again. */
export function* withBaseAgent<T>(kernel: Kernel, agent: Task, work: () => Steps<T>): Steps<T> {
  yield* agent.bringToStop();
  const result = yield* work();
  park(kernel, agent);
  return result;
}

function* cloneBase(kernel: Kernel, space: Space, baseAgent: Task, meanwhile: () => void): Steps<Task> {
  const left = space.usesDontFork ? areasNotForked(space.hostPid).filter(isStoreArea) : [];
  return yield* withBaseAgent(kernel, baseAgent, function* () {
    for (const { start, end } of left)
      yield* call(kernel, baseAgent, SYS.madvise, start, end - start, MADV_DOFORK);
    baseAgent.fetch();
    aimAtGate(kernel, baseAgent, SYS.clone, [GENERATION_FLAGS, 0, 0, 0, 0]);
    const pid = yield* untilMarker(baseAgent, meanwhile);
    for (const { start, end } of left)
      yield* call(kernel, baseAgent, SYS.madvise, start, end - start, MADV_DONTFORK);
    if (isError(pid)) throw noFurtherTask('process', -pid);
    const agent = ours(kernel.task(baseAgent.newborn), 'agent', space);
    yield* birthOf(agent);
    return agent;
  });
}

/** Its own process group (a group's signals must not come twice), and the stub filter. */
function* prepareStubProcess(kernel: Kernel, space: Space, agent: Task, filter: Uint8Array): Steps<void> {
  // struct sock_fprog, behind the list of the calls.
  const at = GATE_LISTS + PAGE;
  const program = new BigUint64Array([BigInt(filter.length / 8), BigInt(at + 16)]);
  space.store.write(at, new Uint8Array(program.buffer));
  space.store.write(at + 16, filter);
  const byDefault = at + 16 + filter.length;
  space.store.write(byDefault, new Uint8Array(KERNEL_SIGACTION_BYTES));
  const results = yield* batch(kernel, agent, space.store, [
    [SYS.setpgid, 0, 0],
    // A terminal asks for these two whether the caller ignores them, and then tells nobody (drivers/tty, __tty_check_change).
    [SYS.rt_sigaction, SIGTTIN, byDefault, 0, ptrace.SIGSET_SIZE],
    [SYS.rt_sigaction, SIGTTOU, byDefault, 0, ptrace.SIGSET_SIZE],
    // No stub ever executes another program, so this costs nothing; without CAP_SYS_ADMIN the filter needs it.
    [SYS.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0],
    [SYS.seccomp, SECCOMP_SET_MODE_FILTER, 0, at],
  ]);
  for (const result of results)
    if (isError(result)) throw new Error(`preparing the stub process ${agent.tid}: errno ${-result}`);
}

/** One call by a generation's agent, in its turn. */
export function* agentCall(
  kernel: Kernel,
  generation: Generation,
  nr: number,
  ...args: Word[]
): Steps<number> {
  using _turn = yield* generation.agentLock.acquire();
  return yield* call(kernel, generation.agent!, nr, ...args);
}

/** A stopped stub task, from the spares or newly made. Who does not use it gives it back (`giveBack`). */
export function* takeStub(kernel: Kernel, generation: Generation): Steps<Task> {
  for (let stub = generation.spareStubs.pop(); stub; stub = generation.spareStubs.pop())
    if (!stub.gone) return stub;
  using _turn = yield* generation.agentLock.acquire();
  const agent = generation.agent!;
  if (generation.ended) throw new TaskGone(agent.tid);
  const tid = yield* call(kernel, agent, SYS.clone, THREAD_FLAGS, 0, 0, 0, 0);
  if (isError(tid)) throw noFurtherTask('task', -tid);
  const stub = ours(kernel.task(agent.newborn), 'stub', agent.space!);
  yield* birthOf(stub);
  setStubMask(stub);
  return stub;
}

/** Ends a generation that no thread lives in, and with the last one the base's agent. */
export function* deleteGeneration(kernel: Kernel, process: Process, id: number): Steps<void> {
  const { space } = process;
  using _turn = yield* space.generationLock.acquire();
  using _lock = yield* space.lock.acquire();
  const generation = space.generations.get(id);
  if (!generation || !generation.agent) {
    throw new AtlasError(
      'bad-usage',
      `Process ${process.pid} has no generation ${id} to delete.`,
      'See `atlas generation list`.',
    );
  }
  for (const thread of process.threads.values()) {
    if (thread.generation === generation) {
      throw new AtlasError(
        'refused',
        `Thread ${thread.tid} lives in generation ${id}.`,
        'Migrate its threads first.',
      );
    }
  }
  space.generations.delete(id);
  yield* endStubProcess(kernel, space, generation);
  kernel.emit('generation-deleted', { pid: process.pid, generation: id });
  if (space.generations.size === 1) yield* becomePlain(kernel, space);
}

export function* endStubProcess(kernel: Kernel, space: Space, generation: Generation): Steps<void> {
  using _turn = yield* generation.agentLock.acquire();
  generation.ended = true;
  const tasks = [generation.agent!, ...generation.spareStubs.splice(0)];
  yield* endHostProcess(kernel, space, generation.hostPid, tasks);
}

function* endHostProcess(kernel: Kernel, space: Space, pid: number, tasks: readonly Task[]): Steps<void> {
  c.kill(pid, SIGKILL);
  for (const task of tasks) yield* untilGone(kernel, task);
  const agent = space.baseAgent;
  if (!agent) return;
  // It has no exit signal: only a wait for any kind of child takes its zombie away.
  yield* withBaseAgent(kernel, agent, () => call(kernel, agent, SYS.wait4, pid, 0, WALL, 0));
}

/** The same after an exec, whose image inherits the zombies of the old one's stub processes. */
export function* reap(kernel: Kernel, task: Task, ended: readonly Task[]): Steps<void> {
  if (ended.length === 0) return;
  yield* borrow(kernel, task, function* (scope) {
    for (const { tid } of ended) yield* scope.call(SYS.wait4, tid, 0, WALL, 0);
  });
}

/** Several may wait for the same end; one of them takes the task's stops. */
export function* untilGone(kernel: Kernel, task: Task): Steps<void> {
  try {
    while (!task.gone) {
      if (task.waiter) {
        yield* kernel.sleep(1);
        continue;
      }
      yield* task.nextStop();
      task.resume();
    }
  } catch (error) {
    if (!(error instanceof Gone)) throw error;
  }
}

function* exitAgent(kernel: Kernel, agent: Task, code: number): Steps<void> {
  yield* agent.bringToStop();
  agent.fetch();
  aimAtGate(kernel, agent, SYS.exit, [code]);
  agent.resume();
}

/** One plain address space again: no helper, and memory calls at native speed. */
function* becomePlain(kernel: Kernel, space: Space): Steps<void> {
  if (space.users === 0) return;
  const agent = space.baseAgent;
  space.baseAgent = undefined;
  openGate(space, 'wantsPlural');
  if (!agent) return;
  yield* exitAgent(kernel, agent, 0);
  yield* untilGone(kernel, agent);
}

/**
 * For the base agent at its exit event, which it reaches when its process ends, and in execve behind the point at which
 * that may still fail (fs/exec.c, de_thread). Neither goes on before the agent has gone; and with the stub
 * processes their share in the file table goes first: nothing is held any more when the end is told, and execve finds
 * a table that is its own, and keeps the record locks.
 */
export function* endWithGenerations(kernel: Kernel, agent: Task, space: Space): Steps<void> {
  if (space.users === 1) {
    const others = [...kernel.tasks.values()].filter((task) => task.space === space && task.role === 'agent');
    killGenerations(kernel, space);
    for (const other of others) yield* untilGone(kernel, other);
  }
  agent.resume();
}

/** All threads of the program have left one by one: the base agent is the last. */
export function* exitLast(kernel: Kernel, agent: Task, code: number): Steps<void> {
  while (agent.waiter) yield* kernel.sleep(1);
  // After exit_group it is on its way already.
  if (!agent.gone && stopEvent(agent.status) !== PTRACE_EVENT_EXIT) yield* exitAgent(kernel, agent, code);
}

/** Ends all stub processes at once, one that is being made included: the process ends, or has become another image. */
export function killGenerations(kernel: Kernel, space: Space): void {
  for (const generation of space.generations.values()) if (generation.agent) generation.ended = true;
  for (const task of kernel.tasks.values())
    if (task.space === space && task.role === 'agent') c.kill(task.tid, SIGKILL);
}

/**
 * Somebody else has killed a generation's host process. Its bytes are lost; who lives there cannot go on, so the
 * process must not.
 */
export function loseGeneration(kernel: Kernel, space: Space, agent: Task, status: string): void {
  for (const generation of space.generations.values()) {
    if (generation.agent !== agent || generation.ended) continue;
    generation.ended = true;
    space.generations.delete(generation.id);
    const process = space.hostProcess!;
    const inhabitants = [...process.threads.values()].filter((thread) => thread.generation === generation);
    const lost = inhabitants.filter((thread) => !becomesTheBases(thread));
    kernel.emit('generation-lost', {
      pid: process.pid,
      generation: generation.id,
      status,
      threads: lost.map(({ tid }) => tid),
    });
    if (lost.length > 0) c.kill(process.pid, SIGKILL);
  }
}

/** Of a lost generation's threads, those that have nothing of theirs in it yet go on in the base. */
function becomesTheBases(thread: Thread): boolean {
  if (thread.stub || thread.exited) return thread.exited;
  if (thread.place.at === 'asleep') forgetSleeper(thread);
  const { base } = thread.process.space;
  if (thread.place.at === 'call') leaveInCall(thread, base, undefined, () => new Uint8Array());
  else thread.generation = base;
  return true;
}
