/**
 * Moving a thread to a generation from wherever it is, one attempt at a time. A thread that sleeps in the
 * kernel is as good as moved once it is certain to be caught on its way out; its sleep is not disturbed.
 */
import { AtlasError } from '../errors/atlas-error.js';
import { catchSleeper, expectAt, forgetSleeper, sleepingPlace } from '../process/breakpoints.js';
import { askWithin, keepsItsCall, leaksEintr, wasAsleep, windBack } from '../process/hold.js';
import type { Kernel } from '../process/kernel.js';
import { isRestart } from '../linux/errno.js';
import { credentials } from '../linux/proc.js';
import { SYS, syscallName } from '../linux/syscall-numbers.js';
import { getXstate } from '../linux/ptrace.js';
import { moveAcrossTo, moveHome, moveOutTo } from '../process/migrate.js';
import { takeStub } from '../process/generation.js';
import type { Generation, Process, Thread } from '../process/model.js';
import { fallAsleep, giveBack, leaveInCall, redirect, type Waking } from '../process/place.js';
import type { Task } from '../process/task.js';
import {
  mayBeInterrupted,
  mayStartAnew,
  noteInterruption,
  Remainder,
  timeOutOf,
} from '../process/time-outs.js';
import { pause, type Steps } from '../process/steps.js';
import { ARGUMENTS } from '../x64/registers.js';
import type { Judge } from './objection.js';
import type { Verdict } from './quiescence.js';

export type Attempt =
  | { kind: 'moved'; pauseMicroseconds: number; asleep: boolean }
  | { kind: 'pending'; reason: string }
  | { kind: 'gone' };

/** What is to be done with which threads, and until when. */
export interface Aim {
  to: Generation;
  /** As performance.now() says. */
  deadline: number;
  /** Keeps threads where they are that must not leave their code yet. */
  judge?: Judge | undefined;
}

const MOST_WAKE_UPS = 8;
const MOVED_ASLEEP: Attempt = { kind: 'moved', pauseMicroseconds: 0, asleep: true };
const pending = (reason: string): Attempt => ({ kind: 'pending', reason });

/** Nobody waits any more for threads that were to move as they come back from a call. */
export function forgetReturns(process: Process): void {
  for (const thread of process.threads.values())
    if (thread.place.at === 'asleep' && thread.place.onWaking.kind === 'does') forgetSleeper(thread);
}

export function* moveThread(kernel: Kernel, thread: Thread, aim: Aim): Steps<Attempt> {
  const { to } = aim;
  for (let round = 0; round < MOST_WAKE_UPS; round++) {
    if (thread.exited) return { kind: 'gone' };
    if (thread.generation === to)
      return {
        kind: 'moved',
        pauseMicroseconds: thread.lastPauseMicroseconds,
        asleep: thread.place.at === 'asleep',
      };
    if (thread.ownTables && to.agent)
      return pending('has a file table or working directory of its own (unshare)');
    // Credentials belong to tasks: in a stub with others the thread would have another's rights.
    if (to.agent && credentials(thread.tid) !== credentials(to.agent.tid))
      return pending('has credentials of its own');
    try {
      const attempt = yield* attemptFrom(kernel, thread, aim);
      if (attempt) return attempt;
    } catch (error) {
      // No further task for it, say: it stays where it is, and the others need not.
      if (error instanceof AtlasError && error.kind === 'refused') return pending(error.message);
      throw error;
    }
  }
  return pending('wakes up and falls asleep too quickly to be caught');
}

/** @returns undefined when the thread's state changed under us: look again */
function attemptFrom(kernel: Kernel, thread: Thread, aim: Aim): Steps<Attempt | undefined> {
  switch (thread.place.at) {
    case 'asleep':
      return thread.place.stub ? againFromStub(kernel, thread, aim) : whileAsleep(kernel, thread, aim);
    case 'call':
      return insideCall(kernel, thread, aim);
    case 'stub':
      return fromStub(kernel, thread, aim);
    default:
      return fromHome(kernel, thread, aim);
  }
}

const untilReturn = (nr: number): string => `asleep in ${syscallName(nr)} until it returns`;

const sleepsAtHome = ({ place }: Thread): boolean => place.at === 'asleep' && place.stub === undefined;

/** It sleeps at home, and is caught as it wakes up: then it will go to another generation. */
function* whileAsleep(kernel: Kernel, thread: Thread, { to, judge }: Aim): Steps<Attempt | undefined> {
  if (judge && judge.judgeSleeper(thread) === 'needs-registers') {
    forgetSleeper(thread);
    return undefined;
  }
  if (!to.agent) {
    const then = forgetSleeper(thread);
    if (then.kind === 'moves') giveBack(thread.generation, then.stub);
    thread.generation = to;
    return MOVED_ASLEEP;
  }
  const stub = yield* takeStub(kernel, to);
  if (!sleepsAtHome(thread)) {
    giveBack(to, stub);
    return undefined;
  }
  redirect(thread, { kind: 'moves', stub }, to);
  return MOVED_ASLEEP;
}

/** It was to move as it comes back from a call, and somebody asks again. */
function* againFromStub(kernel: Kernel, thread: Thread, aim: Aim): Steps<Attempt | undefined> {
  forgetSleeper(thread);
  return yield* fromStub(kernel, thread, aim);
}

/** The home is inside a call for the thread: the stub is not needed for going on, its state is kept. */
function* insideCall(kernel: Kernel, thread: Thread, { to, judge }: Aim): Steps<Attempt | undefined> {
  const { place } = thread;
  if (place.at !== 'call') return undefined;
  if ((place.nr === SYS.clone || place.nr === SYS.clone3) && !thread.vforkChild)
    return pending('makes a thread');
  const verdict = judge?.judge(thread, { tid: thread.home.tid, regs: thread.caller });
  if (verdict && verdict.kind !== 'quiescent') return objection(judge!, verdict);
  const next = to.agent ? yield* takeStub(kernel, to) : undefined;
  if (thread.place.at !== 'call') {
    if (next) giveBack(to, next);
    return undefined;
  }
  leaveInCall(thread, to, next, (stub) => {
    const length = getXstate(stub.tid, kernel.xstate);
    return kernel.xstate.bytes.slice(0, length);
  });
  return MOVED_ASLEEP;
}

const objection = (judge: Judge, verdict: Verdict): Attempt => pending(judge.describe(verdict));

/**
 * Whether a caught sleeper is out of the old code. Where its stack alone does not tell, it is interrupted once
 * for its registers, if its call goes on afterwards as if nothing had been; else they are looked at as it returns.
 */
function* sleeperMayMove(
  kernel: Kernel,
  thread: Thread,
  { judge, deadline }: Aim,
): Steps<boolean | 'on its return'> {
  if (!judge || judge.judgeSleeper(thread) !== 'needs-registers') return true;
  const sleeping = sleepingPlace(thread);
  if (!sleeping) return false;
  const timeOut = timeOutOf(sleeping, thread, thread.home);
  if (!mayBeInterrupted(thread, timeOut)) return 'on its return';
  // It is caught: at the stop it is the same sleep still.
  noteInterruption(thread, timeOut);
  const remainder = new Remainder(thread.home, timeOut);
  let quiescent = false;
  yield* askWithin(kernel, thread, deadline, function* () {
    const { home } = thread;
    if (!sleepsAtHome(thread)) return;
    remainder.restore();
    home.fetch();
    quiescent = judge.judge(thread, home).kind === 'quiescent';
    if (!wasAsleep(home)) quiescent = false;
  });
  return quiescent;
}

/** The move out of the base of a thread that stands at a plain place. */
function leave(kernel: Kernel, thread: Thread, to: Generation, stub: Task, asked: number): void {
  moveOutTo(kernel, thread, to, stub);
  thread.lastPauseMicroseconds = (performance.now() - asked) * 1000;
}

/** It has come back from its call at home, and stands at a plain place. */
function* moveFromHome(kernel: Kernel, thread: Thread, { to, judge }: Aim): Steps<void> {
  const arrived = performance.now();
  if (judge && judge.judge(thread, (thread.home.fetch(), thread.home)).kind !== 'quiescent') return;
  const stub = yield* stubOrNone(kernel, to);
  if (stub) leave(kernel, thread, to, stub, arrived);
}

/** A thread inside a replaced function is met where the function returns to, and moves from there. */
function expectReturn(kernel: Kernel, thread: Thread, to: Generation, judge: Judge, verdict: Verdict): void {
  if (verdict.kind !== 'active' || verdict.returnAddress === undefined) return;
  expectAt(thread, verdict.returnAddress, function* (): Steps<void> {
    const arrived = performance.now();
    const { home } = thread;
    if (thread.place.at !== 'home' || judge.judge(thread, home).kind !== 'quiescent') return;
    const stub = yield* stubOrNone(kernel, to);
    if (stub) leave(kernel, thread, to, stub, arrived);
  });
}

/** For what happens later than anybody waits for: the thread stays where it is when there is no stub for it. */
function* stubOrNone(kernel: Kernel, to: Generation): Steps<Task | undefined> {
  try {
    return yield* takeStub(kernel, to);
  } catch (error) {
    if (!(error instanceof AtlasError)) throw error;
    kernel.emit('move-refused', { generation: to.id, reason: error.message });
    return undefined;
  }
}

function* fromHome(kernel: Kernel, thread: Thread, aim: Aim): Steps<Attempt | undefined> {
  const { to, judge, deadline } = aim;
  if (!to.agent) {
    // It has woken up and is on its way out; there it can be turned back.
    yield* pause(kernel.scheduler);
    return undefined;
  }
  const stub = yield* takeStub(kernel, to);
  // Not by what the thread has in the end: it may have moved on, and have given the stub back itself.
  let used = false;
  let uncatchable = false;
  try {
    if (thread.place.at !== 'home') return undefined;
    if (!thread.busy && !thread.home.stopped && sleepingPlace(thread)) {
      const caught = catchSleeper(thread, { kind: 'stays' });
      uncatchable = caught === 'impossible';
      if (caught === 'caught') {
        const mayMove = yield* sleeperMayMove(kernel, thread, aim);
        // It may have woken up meanwhile, and gone on as it was.
        if (!sleepsAtHome(thread)) return undefined;
        if (mayMove === 'on its return') {
          redirect(
            thread,
            { kind: 'does', work: (woken) => moveFromHome(kernel, woken, aim) },
            thread.generation,
          );
          return pending(untilReturn(sleepingPlace(thread)?.nr ?? SYS.restart_syscall));
        }
        if (mayMove) {
          used = true;
          redirect(thread, { kind: 'moves', stub }, to);
          return MOVED_ASLEEP;
        }
        forgetSleeper(thread);
      }
    }
    if (thread.held) return pending('is stopped by job control');
    return yield* atStop(kernel, thread, deadline, function* (asked) {
      // It may have moved between the asking and the stop.
      if (thread.place.at !== 'home') return undefined;
      const { home } = thread;
      home.fetch();
      const verdict = judge?.judge(thread, home);
      const asleep = wasAsleep(home);
      if (verdict && verdict.kind !== 'quiescent') {
        expectReturn(kernel, thread, to, judge!, verdict);
        return objection(judge!, verdict);
      }
      // A call that has been wound back is no sleep any more.
      if (asleep && home.regs.signed('orig_rax') >= 0) {
        // Where no breakpoint can be, or SIGTRAP is the program's own, it is caught by its call's end.
        if (!uncatchable) return undefined;
        used = true;
        fallAsleep(thread, undefined, { kind: 'moves', stub }, to);
        return MOVED_ASLEEP;
      }
      used = true;
      leave(kernel, thread, to, stub, asked);
      const pauseMicroseconds = thread.lastPauseMicroseconds;
      return { kind: 'moved', pauseMicroseconds, asleep: false };
    });
  } finally {
    if (!used) giveBack(to, stub);
  }
}

function* fromStub(kernel: Kernel, thread: Thread, aim: Aim): Steps<Attempt | undefined> {
  const { to, judge, deadline } = aim;
  if (thread.place.at !== 'stub') return undefined;
  const onWaking: Waking = { kind: 'does', work: (woken) => moveFromStub(kernel, woken, to, judge) };
  let uncatchable = false;
  if (!thread.busy && !thread.stub!.stopped) {
    const sleeping = sleepingPlace(thread);
    // Made anew elsewhere, the call would wait for its whole time-out again.
    if (sleeping && !mayStartAnew(thread, timeOutOf(sleeping, thread, thread.stub!))) {
      const caught = catchSleeper(thread, onWaking);
      if (caught === 'caught') return pending(untilReturn(sleeping.nr));
      if (caught === 'awake') return undefined;
      uncatchable = true;
    }
  }
  if (thread.held) return pending('is stopped by job control');
  const next = to.agent ? yield* takeStub(kernel, to) : undefined;
  let used = false;
  try {
    return yield* atStop(kernel, thread, deadline, function* (asked) {
      const { place, stub } = thread;
      if (place.at !== 'stub' || !stub) return undefined;
      if (!mayLeaveCall(thread, stub)) {
        const nr = stub.regs.signed('orig_rax');
        if (!uncatchable || nr < 0) return undefined;
        fallAsleep(thread, undefined, onWaking);
        return pending(untilReturn(nr));
      }
      const verdict = judge?.judge(thread, stub);
      if (verdict && verdict.kind !== 'quiescent') return objection(judge!, verdict);
      used = true;
      yield* leaveStub(kernel, thread, to, next);
      return { kind: 'moved', pauseMicroseconds: (performance.now() - asked) * 1000, asleep: false };
    });
  } finally {
    if (next && !used) giveBack(to, next);
  }
}

/**
 * Winds back the call that the stub was interrupted in, if any, so that it is made again elsewhere.
 * @param stub at its interrupt stop
 * @returns false when the call has to come back here
 */
function mayLeaveCall(thread: Thread, stub: Task): boolean {
  const { regs } = stub;
  stub.fetch();
  if (keepsItsCall(stub)) return false;
  const result = regs.signed('rax');
  if (regs.signed('orig_rax') < 0 || !(isRestart(result) || leaksEintr(regs))) return true;
  const args = ARGUMENTS.map((register) => regs.get(register));
  const timeOut = timeOutOf({ nr: regs.signed('orig_rax'), args }, thread, stub);
  const may = mayStartAnew(thread, timeOut);
  if (may && timeOut) thread.startedAnew = performance.now();
  // It fell asleep just now, if it may not: the kernel restarts the call with what is left of the time-out, and where
  // it does not, nearly all of it is left.
  if (may || leaksEintr(regs)) windBack(stub);
  return may;
}

/** @param next the stub to go on in; undefined for the base */
function* leaveStub(kernel: Kernel, thread: Thread, to: Generation, next: Task | undefined): Steps<void> {
  if (next) moveAcrossTo(kernel, thread, to, next);
  else yield* moveHome(kernel, thread);
}

/** It has come back from its call, and stands at a plain place. */
function* moveFromStub(
  kernel: Kernel,
  thread: Thread,
  to: Generation,
  judge: Judge | undefined,
): Steps<void> {
  const stub = thread.stub!;
  stub.fetch();
  if (judge && judge.judge(thread, stub).kind !== 'quiescent') return;
  const next = to.agent ? yield* stubOrNone(kernel, to) : undefined;
  if (next || !to.agent) yield* leaveStub(kernel, thread, to, next);
}

/** Runs `work` with the thread's runner at an interrupt stop; it gets the time of the asking in milliseconds. */
function* atStop(
  kernel: Kernel,
  thread: Thread,
  deadline: number,
  work: (asked: number) => Steps<Attempt | undefined>,
): Steps<Attempt | undefined> {
  let attempt: Attempt | undefined;
  const asked = performance.now();
  const outcome = yield* askWithin(kernel, thread, deadline, function* () {
    attempt = yield* work(asked);
  });
  if (outcome === 'done') return attempt;
  if (outcome === 'gone') return thread.exited ? { kind: 'gone' } : undefined;
  return pending(thread.held ? 'is stopped by job control' : 'does not come to a stop');
}
