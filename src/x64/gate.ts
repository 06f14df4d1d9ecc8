/**
 * The gate: the few pages that Atlas adds to every address space of a supervised process, at one address
 * for the whole process tree (the seccomp filter compares the instruction pointer with it).
 *
 *     GATE          call, park, batch and the memory routines      r-x  system calls from here run untrapped
 *     GATE + 1 page trap routines                                  r-x  system calls from here are mediated
 *     GATE + 2      the words that the supervisor and the routines share   rw-
 *     GATE + 3 …    lists of system calls for `batch`                       rw-
 *
 * It lives in the store like all shared memory, so that every generation sees the same gate.
 *
 * The memory routines do in the process what the supervisor would otherwise do at a trap. A program's
 * call site (rewritten, see islands.ts) jumps to them with the return address in rcx, which the `syscall`
 * instruction destroys anyway; rax, rcx and r11 are theirs, all else is kept. While there is more than one
 * generation, `mode` sends them through the trap page instead: the supervisor then repeats the call in
 * every generation. `inflight` counts the threads between the two decisions; the supervisor waits for zero
 * after it changed `mode`. Signals are held off while a thread is in here (signals.ts), so that the count
 * cannot leak.
 */
import { SYS } from '../linux/syscall-numbers.js';
import { Assembler } from './assembler.js';

const PAGE = 4096;

/** Away from where the kernel, sanitizers and language runtimes put things: below PIE, above reservations. */
export const GATE_START = 0x4171_a500_0000;
/** Exclusive end of the code whose system calls are not mediated. */
export const GATE_FREE_END = GATE_START + PAGE;
export const GATE_DATA = GATE_START + 2 * PAGE;
export const GATE_LISTS = GATE_START + 3 * PAGE;
export const GATE_LIST_ENTRIES = (16 * PAGE) / 64;
export const GATE_END = GATE_START + 19 * PAGE;

/** 0 while there is a single generation. */
export const GATE_MODE = GATE_DATA;
/** Threads inside a memory routine. */
export const GATE_INFLIGHT = GATE_DATA + 4;

/** A number that Linux will not give to a system call: made from the gate, it means "done, look at rdi". */
export const MARKER = 0x3a71;

const MAP_SHARED = 0x01;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS_PRIVATE = 0x22;
const MAP_NORESERVE = 0x4000;
/** MAP_POPULATE, MAP_NORESERVE, MAP_STACK: kept as they are by the fast path. */
const MAP_HARMLESS = 0x8000 | MAP_NORESERVE | 0x20000;
const FALLOC_PUNCH_HOLE_KEEP_SIZE = 3;
const MADV_DONTNEED = 4;
const MADV_FREE = 8;
const LAST_ERROR = -4095;
/** Below the red zone (System V ABI, 3.2.2) with room for what is saved. */
const FRAME = 256;
const SAVED = { rcx: 0, rdx: 8, r10: 16, r8: 24, r9: 32, rdi: 40, rsi: 48, result: 56 } as const;

export interface Gate {
  /** Written at GATE_START: the free page followed by the trap page. */
  code: Uint8Array;
  /** `syscall`, then the marker: the registers say which call. */
  call: number;
  /** An interruptible sleep without end: where a parked home task waits. */
  park: number;
  /** Performs r12 calls from the list at rbx (8 words each: number, six arguments, result), then the marker. */
  batch: number;
  /** A NUL-terminated name for the store, for memfd_create. */
  storeName: number;
  /** A name for other files of ours that stand for shared anonymous memory. */
  sharedName: number;
  /** In-process treatment of memory calls, by system-call number: return address in rcx. */
  routines: ReadonlyMap<number, number>;
}

export function assembleGate(storeFd: number): Gate {
  const a = new Assembler(GATE_START);
  a.label('call').syscall();
  a.label('done').move('rdi', 'rax');
  a.label('marker').moveImmediate('rax', MARKER).syscall().emit(0x0f, 0x0b);

  a.label('park').moveImmediate('rax', SYS.pause).syscall().jump('park');

  a.label('batch');
  for (const [index, register] of (['rax', 'rdi', 'rsi', 'rdx', 'r10', 'r8', 'r9'] as const).entries()) {
    a.load(register, 'rbx', index * 8);
  }
  a.syscall().store('rbx', 56, 'rax').arithmetic('add', 'rbx', 64).arithmetic('add', 'r12', -1);
  a.jumpIf('ne', 'batch').moveImmediate('rdi', 0).jump('marker');

  mmapRoutine(a, storeFd);
  munmapRoutine(a, storeFd);
  madviseRoutine(a, storeFd);
  mprotectRoutine(a);

  a.label('store name').emit(...new TextEncoder().encode('atlas\0'));
  a.label('shared name').emit(...new TextEncoder().encode('atlas-shared\0'));
  a.align(PAGE);
  if (a.here !== GATE_FREE_END) throw new Error('the gate outgrew its page');
  for (const nr of [SYS.mmap, SYS.munmap, SYS.madvise, SYS.mprotect]) {
    a.label(`trap ${nr}`).moveImmediate('rax', nr).syscall();
    a.load('rcx', 'rsp', SAVED.rcx).moveStack(FRAME).jumpRegister('rcx');
  }
  a.align(PAGE);
  const routines = new Map(
    [SYS.mmap, SYS.munmap, SYS.madvise, SYS.mprotect].map((nr) => [nr, a.addressOf(`enter ${nr}`)]),
  );
  return {
    code: a.finish(),
    call: a.addressOf('call'),
    park: a.addressOf('park'),
    batch: a.addressOf('batch'),
    storeName: a.addressOf('store name'),
    sharedName: a.addressOf('shared name'),
    routines,
  };
}

function enter(a: Assembler, nr: number): void {
  a.label(`enter ${nr}`).moveStack(-FRAME).store('rsp', SAVED.rcx, 'rcx');
  a.lockIncrement(GATE_INFLIGHT).compareMemoryZero(GATE_MODE).jumpIf('ne', `mediate ${nr}`);
}

/** Closes a routine: `leave` returns rax to the call site, `mediate` goes by way of the supervisor. */
function leave(a: Assembler, nr: number): void {
  a.label(`leave ${nr}`).lockDecrement(GATE_INFLIGHT);
  a.load('rcx', 'rsp', SAVED.rcx).moveStack(FRAME).jumpRegister('rcx');
  a.label(`mediate ${nr}`).lockDecrement(GATE_INFLIGHT).jump(`trap ${nr}`);
}

/** An anonymous private mapping: the kernel picks the address, then the store is mapped at that offset. */
function mmapRoutine(a: Assembler, storeFd: number): void {
  const nr = SYS.mmap;
  enter(a, nr);
  a.move('rax', 'r10')
    .arithmetic('and', 'rax', ~MAP_HARMLESS)
    .arithmetic('cmp', 'rax', MAP_ANONYMOUS_PRIVATE);
  a.jumpIf('ne', `mediate ${nr}`);
  for (const register of ['rdx', 'r10', 'r8', 'r9', 'rdi'] as const)
    a.store('rsp', SAVED[register], register);
  a.moveImmediate('rdx', 0).moveImmediate('r10', MAP_ANONYMOUS_PRIVATE | MAP_NORESERVE);
  a.moveImmediate('r8', -1).moveImmediate('r9', 0).moveImmediate('rax', nr).syscall();
  a.arithmetic('cmp', 'rax', LAST_ERROR).jumpIf('ae', 'mmap restore');
  a.move('rdi', 'rax').move('r9', 'rax').load('rdx', 'rsp', SAVED.rdx).load('r10', 'rsp', SAVED.r10);
  a.arithmetic('xor', 'r10', MAP_ANONYMOUS_PRIVATE).arithmetic('or', 'r10', MAP_SHARED | MAP_FIXED);
  a.moveImmediate('r8', storeFd).moveImmediate('rax', nr).syscall();
  a.arithmetic('cmp', 'rax', LAST_ERROR).jumpIf('b', 'mmap restore');
  a.store('rsp', SAVED.result, 'rax').moveImmediate('rax', SYS.munmap).syscall();
  a.load('rax', 'rsp', SAVED.result);
  a.label('mmap restore');
  for (const register of ['rdx', 'r10', 'r8', 'r9', 'rdi'] as const) a.load(register, 'rsp', SAVED[register]);
  leave(a, nr);
}

/**
 * Frees the store's pages below [rdi, rdi + rsi), rounded up to pages; what the store does not back there
 * is a hole already. Jumps to `otherwise` when the kernel would refuse the range.
 */
function punch(a: Assembler, storeFd: number, otherwise: string): void {
  for (const register of ['rdi', 'rsi', 'rdx', 'r10'] as const) a.store('rsp', SAVED[register], register);
  a.testImmediate('rdi', PAGE - 1).jumpIf('ne', otherwise);
  a.move('r10', 'rsi')
    .arithmetic('add', 'r10', PAGE - 1)
    .arithmetic('and', 'r10', -PAGE)
    .jumpIf('e', otherwise);
  // A range that does not end below 2^47 is refused by the call itself: nothing may be freed for it.
  a.move('rax', 'rdi').add('rax', 'r10').shiftRight('rax', 47).jumpIf('ne', otherwise);
  a.move('rdx', 'rdi').moveImmediate('rsi', FALLOC_PUNCH_HOLE_KEEP_SIZE).moveImmediate('rdi', storeFd);
  a.moveImmediate('rax', SYS.fallocate).syscall();
}

function restorePunch(a: Assembler): void {
  for (const register of ['rdi', 'rsi', 'rdx', 'r10'] as const) a.load(register, 'rsp', SAVED[register]);
}

/** The pages go before the mapping does: afterwards the addresses may be somebody else's. */
function munmapRoutine(a: Assembler, storeFd: number): void {
  const nr = SYS.munmap;
  enter(a, nr);
  punch(a, storeFd, 'munmap call');
  a.label('munmap call');
  restorePunch(a);
  a.moveImmediate('rax', nr).syscall();
  leave(a, nr);
}

/**
 * On shared memory MADV_DONTNEED keeps the data and MADV_FREE is EINVAL (mm/madvise.c): both free the
 * store's pages. The call itself follows for MADV_DONTNEED, for what is a private file mapping.
 */
function madviseRoutine(a: Assembler, storeFd: number): void {
  const nr = SYS.madvise;
  enter(a, nr);
  a.arithmetic('cmp', 'rdx', MADV_DONTNEED).jumpIf('e', 'madvise punch');
  a.arithmetic('cmp', 'rdx', MADV_FREE).jumpIf('ne', `mediate ${nr}`);
  a.label('madvise punch');
  punch(a, storeFd, 'madvise call');
  a.label('madvise call');
  restorePunch(a);
  a.moveImmediate('rax', 0).arithmetic('cmp', 'rdx', MADV_FREE).jumpIf('e', `leave ${nr}`);
  a.moveImmediate('rax', nr).syscall();
  leave(a, nr);
}

function mprotectRoutine(a: Assembler): void {
  const nr = SYS.mprotect;
  enter(a, nr);
  a.moveImmediate('rax', nr).syscall();
  leave(a, nr);
}
