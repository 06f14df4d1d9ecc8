/**
 * wait4(2) and the wait status, as a value with named questions. Statuses are plain integers so that the
 * loop allocates nothing; the questions are functions of it.
 */
import { c, errno } from './ffi.js';
import { EINTR } from './errno.js';

const WNOHANG = 1;
/** Wait for children of any kind: clones without SIGCHLD as exit signal as well (linux/wait.h). */
const WALL = 0x40000000;

export const SIGTRAP = 5;
/** PTRACE_O_TRACESYSGOOD sets bit 7 of the stop signal of a system-call stop. */
const SYSCALL_STOP = SIGTRAP | 0x80;

export const PTRACE_EVENT_FORK = 1;
export const PTRACE_EVENT_VFORK = 2;
export const PTRACE_EVENT_CLONE = 3;
export const PTRACE_EVENT_EXEC = 4;
export const PTRACE_EVENT_VFORK_DONE = 5;
export const PTRACE_EVENT_EXIT = 6;
export const PTRACE_EVENT_SECCOMP = 7;
/** PTRACE_INTERRUPT's stop, a new task's birth stop, and (with a stopping signal) group-stop. */
export const PTRACE_EVENT_STOP = 128;

export const isExited = (status: number): boolean => (status & 0x7f) === 0;
export const exitCode = (status: number): number => (status >> 8) & 0xff;
export const isSignalled = (status: number): boolean => (status & 0x7f) !== 0 && (status & 0x7f) !== 0x7f;
export const termSignal = (status: number): number => status & 0x7f;
export const coreDumped = (status: number): boolean => (status & 0x80) !== 0;
export const isGone = (status: number): boolean => (status & 0x7f) !== 0x7f;
export const isStopped = (status: number): boolean => (status & 0xff) === 0x7f;
export const stopSignal = (status: number): number => (status >> 8) & 0xff;
/** The PTRACE_EVENT_* of an event stop; 0 for other stops. */
export const stopEvent = (status: number): number => (isStopped(status) ? status >> 16 : 0);
export const isSyscallStop = (status: number): boolean =>
  isStopped(status) && stopSignal(status) === SYSCALL_STOP;
export const isSeccompStop = (status: number): boolean => stopEvent(status) === PTRACE_EVENT_SECCOMP;
/** Signal-delivery-stop (ptrace(2)): a signal is about to be delivered, and may be suppressed. */
export const isSignalStop = (status: number): boolean =>
  isStopped(status) && status >> 16 === 0 && stopSignal(status) !== SYSCALL_STOP;
/** Group-stop as PTRACE_SEIZE reports it: PTRACE_EVENT_STOP with a stopping signal other than SIGTRAP. */
export const isGroupStop = (status: number): boolean =>
  stopEvent(status) === PTRACE_EVENT_STOP && stopSignal(status) !== SIGTRAP;

/** The reaper: one per tracing thread; `status` holds the last reported status. */
export class Reaper {
  readonly #status = new Int32Array(1);

  get status(): number {
    return this.#status[0]!;
  }

  /** Blocks until any tracee or child reports; its tid, or 0 when there is none left to wait for. */
  wait(): number {
    return this.#wait(WALL);
  }

  /** The tid of a tracee that has something to report now, or 0. */
  poll(): number {
    return this.#wait(WALL | WNOHANG);
  }

  #wait(options: number): number {
    for (;;) {
      const tid = c.wait4(-1, this.#status, options, null) as number;
      if (tid >= 0) return tid;
      if (errno() !== EINTR) return 0;
    }
  }
}

/** A status in words, for logs and watchdogs. */
export function describeStatus(status: number): string {
  if (isExited(status)) return `exited ${exitCode(status)}`;
  if (isSignalled(status)) return `killed by ${termSignal(status)}${coreDumped(status) ? ' (core)' : ''}`;
  const names = ['', 'FORK', 'VFORK', 'CLONE', 'EXEC', 'VFORK_DONE', 'EXIT', 'SECCOMP'];
  const event = stopEvent(status);
  if (event === PTRACE_EVENT_STOP) return `event STOP ${stopSignal(status)}`;
  if (event !== 0) return `event ${names[event] ?? event}`;
  return isSyscallStop(status) ? 'syscall-stop' : `signal-stop ${stopSignal(status)}`;
}
