/**
 * The stops of stub tasks: a thread that lives outside the base makes a system call that its stub must not
 * execute by itself, faults, or is interrupted. The table says who executes the call.
 */
import { isError } from '../linux/errno.js';
import { ProcessMemory } from '../linux/memory.js';
import { SYS, syscallName } from '../linux/syscall-numbers.js';
import {
  isSignalStop,
  isSeccompStop,
  isSyscallStop,
  PTRACE_EVENT_STOP,
  stopEvent,
  stopSignal,
} from '../linux/wait.js';
import { isSynchronous, SIGSYS, SIGTRAP } from '../linux/signals.js';
import { callElsewhere } from '../process/elsewhere.js';
import { killGenerations } from '../process/generation.js';
import { sleepsOn, wasAsleep, windBack } from '../process/hold.js';
import { borrow, call } from '../process/inject.js';
import type { Kernel } from '../process/kernel.js';
import { tellEnd } from '../process/lifecycle.js';
import type { Thread } from '../process/model.js';
import { giveBack } from '../process/place.js';
import { stopParked } from '../process/parking.js';
import { trapIsPending } from '../process/breakpoints.js';
import { isTerminalsOwn, raisedIsPending, raisedSignal } from '../process/raised.js';
import { atCallsEnd, deliverFault, hitBreakpoint, isKernelsOwn, wakeUpAt } from '../process/signals.js';
import type { Steps } from '../process/steps.js';
import type { Task } from '../process/task.js';
import { letGo, lockSpace, occupy, serveRequests, setOff } from '../process/turns.js';
import { ARGUMENTS } from '../x64/registers.js';
import { closeRange, mediate, noteAlternateStack } from './base.js';
import { childOfStub, homeCall, homeSigreturn } from './home-call.js';
import { answerMode, asksForMode, installFilterFromStub, installsFilter } from './install-filter.js';
import { asItIs, changesMemory, handlerOf } from './memory/handlers.js';
import { raiseAtHome } from './raised.js';
import { refusalErrno, stubClassOf } from './table.js';
import { noteTracing } from './tracing.js';

const FUTEX_PRIVATE_FLAG = 0x80;
const FUTEX_COMMANDS = 0x7f;
/** LOCK_PI, UNLOCK_PI, TRYLOCK_PI, WAIT_REQUEUE_PI, CMP_REQUEUE_PI, LOCK_PI2 (linux/futex.h). */
const PI_COMMANDS: ReadonlySet<number> = new Set([6, 7, 8, 11, 12, 13]);
const PR_SET_NAME = 15;
/** Calls whose subject is the caller's credentials: they belong to each task, not to the process. */
const CREDENTIALS: ReadonlySet<number> = new Set([
  SYS.setuid, SYS.setgid, SYS.setreuid, SYS.setregid, SYS.setresuid, SYS.setresgid, SYS.setfsuid, SYS.setfsgid,
  SYS.setgroups, SYS.capset,
]); // biome-ignore format: a short list
/** Path calls whose path is the first argument; in all others it is the second. */
const PATH_FIRST: ReadonlySet<number> = new Set(
  [
    SYS.open,
    SYS.stat,
    SYS.lstat,
    SYS.access,
    SYS.readlink,
    SYS.statfs,
    SYS.chdir,
    SYS.creat,
    SYS.truncate,
  ].map(Number),
);
const LONGEST_PATH_PREFIX = 32;
/** A terminal that a session leader opens becomes its controlling one, and /dev/tty is that of whoever asks. */
const PERSONAL_PATH =
  /^\/(proc\/(self|thread-self)(\/|$)|dev\/((fd|stdin|stdout|stderr)(\/|$)|tty|pts\/\d|console$))/;

export function stubStopped(kernel: Kernel, stub: Task, thread: Thread | undefined): void {
  if (!thread || thread.busy) {
    // A spare stays where it is; an owed interrupt of a busy one is over with this stop.
    if (!thread || stopEvent(stub.status) !== PTRACE_EVENT_STOP) return;
    wasAsleep((stub.fetch(), stub));
    // If the process is held, it stays too, and the end of what is being done finds it stopped.
    setOff(thread);
    return;
  }
  const asleep = thread.place.at === 'asleep';
  if (isSeccompStop(stub.status)) {
    if (asleep) {
      // It stood before this call when we thought that it slept in it.
      windBack((stub.fetch(), stub));
      wakeUpAt(kernel, thread);
    } else stubCall(kernel, stub, thread);
    return;
  }
  if (isSyscallStop(stub.status)) {
    atCallsEnd(kernel, thread);
    return;
  }
  if (isSignalStop(stub.status)) {
    stubSignal(kernel, stub, thread);
    return;
  }
  if (stopEvent(stub.status) !== PTRACE_EVENT_STOP) letGo(thread);
  else if (trapIsPending(thread) || raisedIsPending(stub)) stub.resume();
  else if (asleep && !sleepsOn(thread)) wakeUpAt(kernel, thread);
  else if (thread.requests.length > 0 && !thread.process.space.hold) serveRequests(kernel, thread);
  else {
    // For a hold; or nobody waits any more for what it was interrupted for.
    wasAsleep((stub.fetch(), stub));
    letGo(thread);
  }
}

/** A signal of the stub is a fault, or comes from its own call; whatever else reaches it is nobody's. */
function stubSignal(kernel: Kernel, stub: Task, thread: Thread): void {
  const signal = stopSignal(stub.status);
  if (signal === SIGTRAP && hitBreakpoint(kernel, thread)) return;
  stub.fetch();
  const raised = raisedSignal(thread);
  if (isSynchronous(signal) || (signal === SIGSYS && isKernelsOwn(stub)))
    occupy(kernel, thread, 'fault', deliverFault(kernel, thread));
  else if (raised) occupy(kernel, thread, 'signal of its call', raiseAtHome(kernel, thread, raised));
  else if (isTerminalsOwn(stub)) {
    // The home belongs to the program's process group: there the terminal decides rightly.
    occupy(kernel, thread, 'terminal', atHome(kernel, thread, stub.regs.signed('orig_rax')));
  } else {
    wasAsleep(stub);
    letGo(thread);
  }
}

function stubCall(kernel: Kernel, stub: Task, thread: Thread): void {
  const regs = stub.fetch();
  const nr = regs.signed('orig_rax');
  switch (stubClassOf(nr)) {
    case 'path':
      if (!namesSelf(stub, nr)) {
        letGo(thread);
        return;
      }
      break;
    case 'private-futex': {
      const operation = regs.int('rsi');
      if (PI_COMMANDS.has(operation & FUTEX_COMMANDS)) break;
      regs.set('rsi', operation & ~FUTEX_PRIVATE_FLAG);
      stub.commit();
      letGo(thread);
      return;
    }
    case 'refused':
      kernel.emit('refused-call', { tid: thread.tid, call: syscallName(nr) });
      answer(stub, -refusalErrno(nr));
      letGo(thread);
      return;
    case 'everywhere': {
      const steps = CREDENTIALS.has(nr)
        ? everywhere(kernel, thread, nr)
        : mediate(kernel, thread, handlerOf(nr)!);
      occupy(kernel, thread, syscallName(nr), steps);
      return;
    }
    case 'both':
      if (asksForMode(regs)) {
        answerMode(thread);
        letGo(thread);
        return;
      }
      if (installsFilter(regs)) break;
      if (nr === SYS.prctl && changesMemory(regs)) {
        occupy(kernel, thread, 'prctl', mediate(kernel, thread, asItIs));
        return;
      }
      occupy(kernel, thread, syscallName(nr), both(kernel, thread, nr));
      return;
  }
  switch (nr) {
    case SYS.getpid:
      answer(stub, thread.process.pid);
      letGo(thread);
      return;
    case SYS.gettid:
      answer(stub, thread.tid);
      letGo(thread);
      return;
    case SYS.exit:
    case SYS.exit_group:
      occupy(kernel, thread, syscallName(nr), exitAtHome(kernel, thread, nr));
      return;
    case SYS.ptrace:
      noteTracing(kernel, thread, regs);
      occupy(kernel, thread, 'ptrace', atHome(kernel, thread, nr));
      return;
    case SYS.sigaltstack:
      noteAlternateStack(thread);
      occupy(kernel, thread, 'sigaltstack', atHome(kernel, thread, nr));
      return;
    case SYS.close_range:
      occupy(kernel, thread, 'close_range', closeRange(kernel, thread));
      return;
    case SYS.prctl:
    case SYS.seccomp:
      if (installsFilter(regs)) occupy(kernel, thread, 'seccomp', installFilterFromStub(kernel, thread));
      else occupy(kernel, thread, 'seccomp', atHome(kernel, thread, nr));
      return;
    case SYS.rt_sigreturn:
      occupy(kernel, thread, 'rt_sigreturn', homeSigreturn(kernel, thread));
      return;
    case SYS.fork:
    case SYS.vfork:
    case SYS.clone:
    case SYS.clone3:
      occupy(kernel, thread, syscallName(nr), childOfStub(kernel, thread, nr));
      return;
    default:
      occupy(kernel, thread, syscallName(nr), atHome(kernel, thread, nr));
  }
}

/** Ends the call that the stub stands before, with this result. */
function answer(stub: Task, result: number): void {
  stub.regs.set('rax', result);
  stub.regs.set('orig_rax', -1);
  stub.commit();
}

function* atHome(kernel: Kernel, thread: Thread, nr: number): Steps<void> {
  yield* homeCall(kernel, thread, nr);
}

/** Whether the path means something else to another process. */
function namesSelf(stub: Task, nr: number): boolean {
  using memory = new ProcessMemory(stub.tid);
  const address = stub.regs.get(PATH_FIRST.has(nr) ? 'rdi' : 'rsi');
  const prefix = Buffer.from(memory.read(address, LONGEST_PATH_PREFIX)).toString('latin1').split('\0', 1)[0]!;
  return PERSONAL_PATH.test(prefix);
}

/** Credentials: home first, then every generation's agent and the tasks that have their own. */
function* everywhere(kernel: Kernel, thread: Thread, nr: number): Steps<void> {
  const { space } = thread.process;
  const args = ARGUMENTS.map((register) => thread.stub!.regs.signed(register));
  const result = yield* homeCall(kernel, thread, nr);
  if (result === undefined || isError(result)) return;
  using _lock = yield* lockSpace(thread);
  yield* callElsewhere(kernel, space, [[nr, ...args]]);
  for (const generation of space.generations.values()) {
    // Taken out meanwhile: nobody may be given one that is in the middle of the call.
    const spares = generation.spareStubs.splice(0);
    for (const spare of spares) yield* call(kernel, spare, nr, ...args);
    for (const spare of spares) giveBack(generation, spare);
  }
  yield* replay(kernel, thread, nr, args);
}

/** The thread's two tasks: home first, then the stub. */
function* both(kernel: Kernel, thread: Thread, nr: number): Steps<void> {
  const subject = thread.stub!.regs.int('rdi');
  const args = ARGUMENTS.map((register) => thread.stub!.regs.signed(register));
  const own = nr === SYS.prctl ? subject === PR_SET_NAME : subject === thread.tid || subject === 0;
  const result = yield* homeCall(kernel, thread, nr);
  if (result === undefined || isError(result) || !own) return;
  if (nr !== SYS.prctl) args[0] = 0;
  yield* replay(kernel, thread, nr, args);
}

/** Has the stub make the call too: its own state changes as the home's did. */
function* replay(kernel: Kernel, thread: Thread, nr: number, args: readonly number[]): Steps<void> {
  if (!thread.stub) return;
  yield* borrow(kernel, thread.stub, (scope) => scope.call(nr, ...args));
}

/** The thread, or the process, ends: its home does, with all that hangs on its identity; the stub is free. */
function* exitAtHome(kernel: Kernel, thread: Thread, nr: number): Steps<void> {
  const stub = thread.stub!;
  const { home } = thread;
  yield* stopParked(thread);
  if (nr === SYS.exit_group && thread.process.space.users === 1)
    killGenerations(kernel, thread.process.space);
  home.regs.assign(stub.regs);
  home.regs.set('rip', kernel.gate.call);
  home.regs.set('rax', nr);
  home.regs.set('orig_rax', -1);
  home.commit();
  // At home it stands in the gate, before its last call: not a place from which it may be moved.
  tellEnd(thread);
}
