/**
 * ptrace(2) requests. A tracee can be gone at any moment (SIGKILL), so every request answers `false` or a
 * negative errno for ESRCH as a normal outcome, and throws only for what would be a defect of ours.
 */
import { ESRCH } from './errno.js';
import { c, errno } from './ffi.js';

const PTRACE_CONT = 7;
const PTRACE_SINGLESTEP = 9;
const PTRACE_GETREGS = 12;
const PTRACE_SETREGS = 13;
const PTRACE_SYSCALL = 24;
const PTRACE_GETEVENTMSG = 0x4201;
const PTRACE_GETSIGINFO = 0x4202;
const PTRACE_SETSIGINFO = 0x4203;
const PTRACE_GETREGSET = 0x4204;
const PTRACE_SETREGSET = 0x4205;
const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;
const PTRACE_LISTEN = 0x4208;
const PTRACE_GETSIGMASK = 0x420a;
const PTRACE_SETSIGMASK = 0x420b;

const PTRACE_O_TRACESYSGOOD = 0x01;
const PTRACE_O_TRACEFORK = 0x02;
const PTRACE_O_TRACEVFORK = 0x04;
const PTRACE_O_TRACECLONE = 0x08;
const PTRACE_O_TRACEEXEC = 0x10;
const PTRACE_O_TRACEVFORKDONE = 0x20;
const PTRACE_O_TRACEEXIT = 0x40;
const PTRACE_O_TRACESECCOMP = 0x80;
/** The tracees die with the tracing thread: nothing stopped is left behind. */
const PTRACE_O_EXITKILL = 0x100000;

export const OPTIONS =
  PTRACE_O_TRACESYSGOOD |
  PTRACE_O_TRACEFORK |
  PTRACE_O_TRACEVFORK |
  PTRACE_O_TRACECLONE |
  PTRACE_O_TRACEEXEC |
  PTRACE_O_TRACEVFORKDONE |
  PTRACE_O_TRACEEXIT |
  PTRACE_O_TRACESECCOMP |
  PTRACE_O_EXITKILL;

/** linux/elf.h */
const NT_X86_XSTATE = 0x202;
/** sizeof(siginfo_t) */
export const SIGINFO_SIZE = 128;
/** sizeof(sigset_t) of the kernel */
export const SIGSET_SIZE = 8;

function fail(request: string, tid: number): never {
  throw new Error(`ptrace ${request} on task ${tid} failed with errno ${errno()}`);
}

function check(result: number, request: string, tid: number): boolean {
  if (result >= 0) return true;
  if (errno() === ESRCH) return false;
  fail(request, tid);
}

/** Attaches without stopping the task. Throws when the machine does not allow it. */
export function seize(tid: number): void {
  if (c.ptraceNumber(PTRACE_SEIZE, tid, 0, OPTIONS) < 0) fail('SEIZE', tid);
}
export const interrupt = (tid: number): boolean =>
  check(c.ptraceNumber(PTRACE_INTERRUPT, tid, 0, 0), 'INTERRUPT', tid);
/** Leaves a group-stopped task stopped while events can still be reported. */
export const listen = (tid: number): boolean =>
  check(c.ptraceNumber(PTRACE_LISTEN, tid, 0, 0), 'LISTEN', tid);
/** @param signal delivered only when the task is in a signal-delivery-stop */
export const cont = (tid: number, signal: number): boolean =>
  check(c.ptraceNumber(PTRACE_CONT, tid, 0, signal), 'CONT', tid);
export const contToSyscall = (tid: number, signal: number): boolean =>
  check(c.ptraceNumber(PTRACE_SYSCALL, tid, 0, signal), 'SYSCALL', tid);
export const singleStep = (tid: number, signal: number): boolean =>
  check(c.ptraceNumber(PTRACE_SINGLESTEP, tid, 0, signal), 'SINGLESTEP', tid);
export const getRegs = (tid: number, regs: Uint8Array): boolean =>
  check(c.ptraceBuffer(PTRACE_GETREGS, tid, 0, regs), 'GETREGS', tid);
export const setRegs = (tid: number, regs: Uint8Array): boolean =>
  check(c.ptraceBuffer(PTRACE_SETREGS, tid, 0, regs), 'SETREGS', tid);
export const getSiginfo = (tid: number, info: Uint8Array): boolean =>
  check(c.ptraceBuffer(PTRACE_GETSIGINFO, tid, 0, info), 'GETSIGINFO', tid);
export const setSiginfo = (tid: number, info: Uint8Array): boolean =>
  check(c.ptraceBuffer(PTRACE_SETSIGINFO, tid, 0, info), 'SETSIGINFO', tid);
export const getSigmask = (tid: number, set: Uint8Array): boolean =>
  check(c.ptraceBuffer(PTRACE_GETSIGMASK, tid, SIGSET_SIZE, set), 'GETSIGMASK', tid);
export const setSigmask = (tid: number, set: Uint8Array): boolean =>
  check(c.ptraceBuffer(PTRACE_SETSIGMASK, tid, SIGSET_SIZE, set), 'SETSIGMASK', tid);

const message = new Uint32Array(2);
/** The event's message: a new task's id, the former tid of an exec, an exit status. */
export function eventMessage(tid: number): number {
  return c.ptraceBuffer(PTRACE_GETEVENTMSG, tid, 0, message) < 0 ? 0 : message[0]!;
}

/** struct iovec { void *iov_base; size_t iov_len; } of PTRACE_GETREGSET */
const iovec = new BigUint64Array(2);

/** @returns the number of bytes of the XSAVE area, or 0 when the task is gone */
export function getXstate(tid: number, area: XstateArea): number {
  iovec[0] = area.address;
  iovec[1] = BigInt(area.bytes.length);
  if (!check(c.ptraceBuffer(PTRACE_GETREGSET, tid, NT_X86_XSTATE, iovec), 'GETREGSET', tid)) return 0;
  area.length = Number(iovec[1]);
  return area.length;
}

export function setXstate(tid: number, area: XstateArea): boolean {
  iovec[0] = area.address;
  iovec[1] = BigInt(area.length);
  return check(c.ptraceBuffer(PTRACE_SETREGSET, tid, NT_X86_XSTATE, iovec), 'SETREGSET', tid);
}

/** A buffer for one task's vector state, as PTRACE_GETREGSET fills it (NT_X86_XSTATE). */
export interface XstateArea {
  readonly bytes: Uint8Array;
  readonly address: bigint;
  /** Bytes in use; the machine's XSAVE size is found by the first read. */
  length: number;
}
