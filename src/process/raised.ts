/**
 * Signals that a system call raises for its own caller. When a stub made the call they are the stub's, and belong
 * to the thread: they are let through to the stub's delivery stop, and taken home from there.
 *
 *     SIGPIPE, SIGXFSZ    send_sig(…, current, 0): SI_USER, with the pid of the stub's process
 *     SIGTTIN, SIGTTOU    __tty_check_change: SI_KERNEL, to the group, which is the stub process's own
 *     SIGSYS              force_sig_seccomp: reported although it is blocked
 */
import { hasSignal, signalMasks } from '../linux/proc.js';
import * as ptrace from '../linux/ptrace.js';
import { SIGPIPE, SIGTTIN, SIGTTOU, SIGXFSZ } from '../linux/signals.js';
import { isSignalStop, stopSignal } from '../linux/wait.js';
import { isRestart } from '../linux/errno.js';
import type { StashedSignal, Thread } from './model.js';
import type { Task } from './task.js';

/** siginfo_t: si_code, and of SI_USER the sender (sigaction(2)). */
const SI_CODE = 8;
const SI_PID = 16;
const SI_USER = 0;

const RAISED: readonly number[] = [SIGPIPE, SIGXFSZ, SIGTTIN, SIGTTOU];

const STUB_MASK = new Uint8Array(ptrace.SIGSET_SIZE).fill(0xff);
for (const signal of RAISED) STUB_MASK[(signal - 1) >> 3]! &= ~(1 << ((signal - 1) & 7));

/** A new stub blocks all signals but those that its own calls raise. */
export const setStubMask = (stub: Task): void => {
  ptrace.setSigmask(stub.tid, STUB_MASK);
};

/** Whether the stub, at its delivery stop, was sent back by a terminal that its process is in the background of. */
export const isTerminalsOwn = (stub: Task): boolean => {
  const signal = stopSignal(stub.status);
  return (
    (signal === SIGTTIN || signal === SIGTTOU) &&
    stub.regs.signed('orig_rax') >= 0 &&
    isRestart(stub.regs.signed('rax'))
  );
};

/** The signal at whose delivery stop the thread's stub is, as the thread's own; undefined when somebody else sent it. */
export function raisedSignal(thread: Thread): StashedSignal | undefined {
  const { status, tid } = thread.stub!;
  if (!isSignalStop(status)) return undefined;
  const signal = stopSignal(status);
  if (signal !== SIGPIPE && signal !== SIGXFSZ) return undefined;
  const info = new Uint8Array(ptrace.SIGINFO_SIZE);
  if (!ptrace.getSiginfo(tid, info)) return undefined;
  const view = new DataView(info.buffer);
  if (view.getInt32(SI_CODE, true) !== SI_USER) return undefined;
  if (view.getInt32(SI_PID, true) !== thread.generation.hostPid) return undefined;
  view.setInt32(SI_PID, thread.process.pid, true);
  return { signal, info };
}

/**
 * Whether the stub, at an interrupt stop behind a call, is about to report such a signal: the kernel reports the
 * interrupt first (kernel/signal.c, get_signal). Registers fetched.
 */
export function raisedIsPending(stub: Task): boolean {
  if (stub.regs.signed('orig_rax') < 0 || isRestart(stub.regs.signed('rax'))) return false;
  const masks = signalMasks(stub.tid);
  return masks !== undefined && RAISED.some((signal) => hasSignal(masks.pending, signal));
}
