/**
 * Moving a thread to a generation from wherever it is, one attempt at a time. A thread that sleeps in the
 * kernel is as good as moved once it is certain to be caught on its way out; its sleep is not disturbed.
 */
import { catchSleeper, expectAt, letSleeperGo } from '../process/breakpoints.js';
import { ask, wasAsleep, windBack, leaksEintr } from '../process/hold.js';
import type { Kernel } from '../process/kernel.js';
import { isRestart } from '../linux/errno.js';
import { credentials, kernelPlace } from '../linux/proc.js';
import { syscallName } from '../linux/syscall-numbers.js';
import { getXstate } from '../linux/ptrace.js';
import { moveAcross, moveHome, moveOutTo, retireStub } from '../process/migrate.js';
import { addSpareStub, park, takeStub } from '../process/generation.js';
import type { Generation, Thread } from '../process/model.js';
import type { Task } from '../process/task.js';
import { setOff } from '../process/turns.js';
import { Condition, pause, type Steps } from '../process/steps.js';
import type { Judge } from './objection.js';
import type { Verdict } from './quiescence.js';
import { restartsAnywhere } from './restart.js';

export type Attempt =
  | { kind: 'moved'; pauseMicroseconds: number; asleep: boolean }
  | { kind: 'pending'; reason: string }
  | { kind: 'gone' };

const MOST_WAKE_UPS = 8;

export function* moveThread(kernel: Kernel, thread: Thread, to: Generation, judge?: Judge): Steps<Attempt> {
  for (let round = 0; round < MOST_WAKE_UPS; round++) {
    if (thread.exited) return { kind: 'gone' };
    if (thread.generation === to)
      return {
        kind: 'moved',
        pauseMicroseconds: thread.lastPauseMicroseconds,
        asleep: thread.caughtAt !== undefined,
      };
    if (thread.ownTables && to.agent) {
      return { kind: 'pending', reason: 'has a file table or working directory of its own (unshare)' };
    }
    // Credentials belong to tasks: in a stub with others the thread would have another's rights.
    if (to.agent && credentials(thread.tid) !== credentials(to.agent.tid)) {
      return { kind: 'pending', reason: 'has credentials of its own' };
    }
    if (thread.caughtAt) {
      if (to.agent) thread.generation = to;
      else {
        thread.generation = to;
        letSleeperGo(thread);
      }
      return { kind: 'moved', pauseMicroseconds: 0, asleep: true };
    }
    // Its home makes a call for it, and it has left its stub already: it goes on where it lives then.
    if (thread.inHomeCall && !thread.stub) {
      thread.generation = to;
      return { kind: 'moved', pauseMicroseconds: 0, asleep: true };
    }
    const attempt = thread.stub
      ? yield* fromStub(kernel, thread, to, judge)
      : yield* fromHome(kernel, thread, to, judge);
    if (attempt) return attempt;
  }
  return { kind: 'pending', reason: 'wakes up and falls asleep too quickly to be caught' };
}

const objection = (judge: Judge, verdict: Verdict): Attempt => ({
  kind: 'pending',
  reason: judge.describe(verdict),
});

/**
 * Whether a caught sleeper is out of the old code. Where its stack alone does not tell, it is interrupted once
 * for its registers; the kernel restarts its call.
 */
function* sleeperMayMove(kernel: Kernel, thread: Thread, judge: Judge | undefined): Steps<boolean> {
  if (!judge || judge.judgeSleeper(thread) !== 'needs-registers') return true;
  let quiescent = false;
  yield* atStop(kernel, thread, function* () {
    const { home } = thread;
    if (thread.stub || thread.inHomeCall) return undefined;
    home.fetch();
    quiescent = judge.judge(thread, home).kind === 'quiescent' && thread.caughtAt !== undefined;
    if (!wasAsleep(home)) quiescent = false;
    return undefined;
  });
  return quiescent;
}

/** The move out of the base of a thread that stands at a plain place. */
function leave(kernel: Kernel, thread: Thread, to: Generation, stub: Task, asked: number): void {
  moveOutTo(kernel, thread, to, stub);
  setOff(thread);
  thread.lastPauseMicroseconds = (performance.now() - asked) * 1000;
  park(kernel, thread.home);
}

/** A thread inside a replaced function is met where the function returns to, and moves from there. */
function expectReturn(kernel: Kernel, thread: Thread, to: Generation, judge: Judge, verdict: Verdict): void {
  if (verdict.kind !== 'active' || verdict.returnAddress === undefined) return;
  expectAt(thread, verdict.returnAddress, function* (): Steps<void> {
    const arrived = performance.now();
    const { home } = thread;
    if (judge.judge(thread, home).kind !== 'quiescent') return;
    const stub = yield* takeStub(kernel, to);
    home.fetch();
    leave(kernel, thread, to, stub, arrived);
  });
}

/** Inside a system call; a task that is blocked elsewhere, in a page fault say, comes to a stop soon. */
function isAsleep(thread: Thread): boolean {
  const place = kernelPlace(thread.process.pid, thread.tid);
  return place?.asleep === true && place.nr >= 0;
}

/** @returns undefined when the thread's state changed under us: look again */
function* fromHome(
  kernel: Kernel,
  thread: Thread,
  to: Generation,
  judge?: Judge,
): Steps<Attempt | undefined> {
  if (!thread.busy && !thread.home.stopped && isAsleep(thread)) {
    const caught = catchSleeper(thread);
    if (caught === 'impossible') return { kind: 'pending', reason: 'asleep, and handles SIGTRAP itself' };
    if (caught === 'caught' && !(yield* sleeperMayMove(kernel, thread, judge))) letSleeperGo(thread);
    else if (caught === 'caught') {
      thread.generation = to;
      yield* addSpareStub(kernel, to);
      return { kind: 'moved', pauseMicroseconds: 0, asleep: true };
    }
  }
  if (!to.agent) {
    // It wakes up at home and is on its way out; there it can be turned back.
    yield* pause(kernel.scheduler);
    return undefined;
  }
  const stub = yield* takeStub(kernel, to);
  let used = false;
  const attempt = yield* atStop(kernel, thread, function* (asked) {
    // It may have moved between the asking and the stop.
    if (thread.stub || thread.inHomeCall) return undefined;
    const { home } = thread;
    home.fetch();
    const verdict = judge?.judge(thread, home);
    const asleep = wasAsleep(home);
    if (verdict && verdict.kind !== 'quiescent') {
      expectReturn(kernel, thread, to, judge!, verdict);
      return objection(judge!, verdict);
    }
    if (asleep) return undefined;
    used = true;
    leave(kernel, thread, to, stub, asked);
    const pauseMicroseconds = thread.lastPauseMicroseconds;
    return { kind: 'moved', pauseMicroseconds, asleep: false };
  });
  // Not by what the thread has now: it may have moved on, and have given the stub back itself.
  if (!used) to.spareStubs.push(stub);
  return attempt;
}

function* fromStub(
  kernel: Kernel,
  thread: Thread,
  to: Generation,
  judge?: Judge,
): Steps<Attempt | undefined> {
  if (thread.inHomeCall) return leaveCaller(kernel, thread, to);
  return yield* atStop(kernel, thread, function* (asked) {
    const { stub } = thread;
    if (!stub) return undefined;
    if (thread.inHomeCall) return leaveCaller(kernel, thread, to);
    const { regs } = stub;
    stub.fetch();
    if (regs.signed('orig_rax') >= 0 && (isRestart(regs.signed('rax')) || leaksEintr(regs))) {
      const nr = regs.signed('orig_rax');
      if (!restartsAnywhere(stub)) {
        if (leaksEintr(regs)) windBack(stub);
        return { kind: 'pending', reason: `asleep in ${syscallName(nr)} until its time-out` };
      }
      windBack(stub);
    }
    const verdict = judge?.judge(thread, stub);
    if (verdict && verdict.kind !== 'quiescent') return objection(judge!, verdict);
    if (to.agent) {
      yield* moveAcross(kernel, thread, to);
    } else yield* moveHome(kernel, thread);
    return { kind: 'moved', pauseMicroseconds: (performance.now() - asked) * 1000, asleep: false };
  });
}

/** The home is inside a call for the thread: the stub is not needed for going on, its state is kept. */
function leaveCaller(kernel: Kernel, thread: Thread, to: Generation): Attempt {
  const stub = thread.stub!;
  const length = getXstate(stub.tid, kernel.xstate);
  thread.callerXstate = kernel.xstate.bytes.slice(0, length);
  retireStub(thread);
  thread.generation = to;
  return { kind: 'moved', pauseMicroseconds: 0, asleep: true };
}

/** Runs `work` with the thread's runner at an interrupt stop; it gets the time of the asking in milliseconds. */
function* atStop(
  kernel: Kernel,
  thread: Thread,
  work: (asked: number) => Steps<Attempt | undefined>,
): Steps<Attempt | undefined> {
  let attempt: Attempt | undefined = { kind: 'gone' };
  if (thread.exited) return attempt;
  const done = new Condition(kernel.scheduler);
  const onGone = (): void => done.fulfil();
  thread.onGone.add(onGone);
  const asked = performance.now();
  ask(thread, function* (): Steps<void> {
    thread.onGone.delete(onGone);
    try {
      attempt = yield* work(asked);
    } finally {
      done.fulfil();
    }
  });
  yield* done.wait();
  return attempt;
}
