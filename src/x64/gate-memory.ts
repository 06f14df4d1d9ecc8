/** The gate's routines for mmap, munmap, madvise and mprotect. */
import { SYS } from '../linux/syscall-numbers.js';
import type { Assembler } from './assembler.js';
import {
  GATE_FRAME,
  GATE_INFLIGHT,
  GATE_MODE,
  GATE_PINS_MEMORY,
  GATE_WATCHED,
  GATE_WATCHED_COUNT,
  LARGE,
} from './gate-layout.js';

const PAGE = 4096;
/** What `recycle` answers (gate-recycle.ts). */
export const TABLE_IS_FULL = 2;
export const IS_FOREIGN = 3;
const PROT_READ_WRITE = 3;
const PROT_EXEC = 4;
const MAP_SHARED = 0x01;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS_PRIVATE = 0x22;
const MAP_NORESERVE = 0x4000;
const PLACEHOLDER = MAP_ANONYMOUS_PRIVATE | MAP_NORESERVE;
/** MAP_POPULATE, MAP_NORESERVE, MAP_STACK: kept as they are by the fast path. */
const MAP_HARMLESS = 0x8000 | MAP_NORESERVE | 0x20000;
const MADV_DONTNEED = 4;
const MADV_FREE = 8;
const ENOMEM = 12;
export const LAST_ERROR = -4095;

/** A routine's frame, from its rsp. */
export const SAVED = {
  rcx: 0,
  rdx: 8,
  r10: 16,
  r8: 24,
  r9: 32,
  rdi: 40,
  rsi: 48,
  result: 56,
  /** A chunk that is recycled, what is left from there on, and what mincore says of the chunk (gate-recycle.ts). */
  address: 64,
  length: 72,
  left: 80,
  vector: 88,
  /** The whole range that brk frees. */
  freed: 352,
  freedLength: 360,
  /** While one page is given back: its index in the chunk, and the number of the chunk's first page. */
  index: 368,
  firstPage: 376,
} as const;
const ARGUMENTS = ['rdi', 'rsi', 'rdx', 'r10', 'r8', 'r9'] as const;

export function enter(a: Assembler, nr: number): void {
  a.label(`enter ${nr}`).moveStack(-GATE_FRAME).store('rsp', SAVED.rcx, 'rcx');
  a.lockIncrement(GATE_INFLIGHT).compareMemoryZero(GATE_MODE).jumpIf('ne', `mediate ${nr}`);
}

/** Closes a routine: `leave` returns rax to the call site, `mediate` goes by way of the supervisor. */
export function leave(a: Assembler, nr: number): void {
  a.label(`leave ${nr}`).lockDecrement(GATE_INFLIGHT);
  a.load('rcx', 'rsp', SAVED.rcx).moveStack(GATE_FRAME).jumpRegister('rcx');
  a.label(`mediate ${nr}`).lockDecrement(GATE_INFLIGHT).jump(`trap ${nr}`);
}

export function saveArguments(a: Assembler): void {
  for (const register of ARGUMENTS) a.store('rsp', SAVED[register], register);
}

export function restoreArguments(a: Assembler): void {
  for (const register of ARGUMENTS) a.load(register, 'rsp', SAVED[register]);
}

/** An anonymous private mapping: the kernel picks the address, then the store is mapped at that offset. */
export function mmapRoutine(a: Assembler, storeFd: number): void {
  const nr = SYS.mmap;
  enter(a, nr);
  a.move('rax', 'r10')
    .arithmetic('and', 'rax', ~MAP_HARMLESS)
    .arithmetic('cmp', 'rax', MAP_ANONYMOUS_PRIVATE);
  a.jumpIf('ne', `mediate ${nr}`);
  a.arithmetic('cmp', 'rsi', LARGE).jumpIf('ae', `mediate ${nr}`);
  saveArguments(a);
  a.moveImmediate('rdx', 0).moveImmediate('r10', PLACEHOLDER);
  a.moveImmediate('r8', -1).moveImmediate('r9', 0).moveImmediate('rax', nr).syscall();
  a.arithmetic('cmp', 'rax', LAST_ERROR).jumpIf('ae', 'mmap restore');
  a.move('rdi', 'rax').move('r9', 'rax').load('rdx', 'rsp', SAVED.rdx).load('r10', 'rsp', SAVED.r10);
  a.arithmetic('xor', 'r10', MAP_ANONYMOUS_PRIVATE).arithmetic('or', 'r10', MAP_SHARED | MAP_FIXED);
  a.moveImmediate('r8', storeFd).moveImmediate('rax', nr).syscall();
  a.arithmetic('cmp', 'rax', LAST_ERROR).jumpIf('b', 'mmap restore');
  a.store('rsp', SAVED.result, 'rax').moveImmediate('rax', SYS.munmap).syscall();
  a.load('rax', 'rsp', SAVED.result);
  a.label('mmap restore');
  restoreArguments(a);
  leave(a, nr);
}

/**
 * rdi, and in r10 the length rounded up to pages; jumps to `otherwise` when the kernel would refuse the
 * range: nothing may be freed for such a call.
 */
function checkRange(a: Assembler, otherwise: string): void {
  a.testImmediate('rdi', PAGE - 1).jumpIf('ne', otherwise);
  a.move('r10', 'rsi')
    .arithmetic('add', 'r10', PAGE - 1)
    .arithmetic('and', 'r10', -PAGE)
    .jumpIf('e', otherwise);
  a.move('rax', 'rdi').add('rax', 'r10').shiftRight('rax', 47).jumpIf('ne', otherwise);
}

/**
 * The kernel agrees first: a mapping without access takes the range. Then the pages go, and only then the
 * addresses, which may be somebody else's at once. What is refused, the supervisor does or refuses again.
 */
export function munmapRoutine(a: Assembler): void {
  const nr = SYS.munmap;
  enter(a, nr);
  saveArguments(a);
  checkRange(a, 'munmap mediate');
  a.call('watched').testImmediate('rax', -1).jumpIf('ne', 'munmap mediate');
  a.move('rsi', 'r10')
    .moveImmediate('rdx', 0)
    .moveImmediate('r10', PLACEHOLDER | MAP_FIXED);
  a.moveImmediate('r8', -1).moveImmediate('r9', 0).moveImmediate('rax', SYS.mmap).syscall();
  a.arithmetic('cmp', 'rax', LAST_ERROR).jumpIf('ae', 'munmap mediate');
  a.move('r10', 'rsi').call('punch');
  restoreArguments(a);
  a.moveImmediate('rax', nr).syscall();
  leave(a, nr);
  a.label('munmap mediate');
  restoreArguments(a);
  a.jump(`mediate ${nr}`);
}

/**
 * On shared memory MADV_DONTNEED keeps the data and MADV_FREE is EINVAL (mm/madvise.c): both free the
 * store's pages, unless they can be recycled. MADV_DONTNEED asks the kernel first: it refuses what is no
 * memory, and over a hole the rest is dropped.
 */
export function madviseRoutine(a: Assembler): void {
  const nr = SYS.madvise;
  enter(a, nr);
  a.arithmetic('cmp', 'rdx', MADV_DONTNEED).jumpIf('e', 'madvise free');
  a.arithmetic('cmp', 'rdx', MADV_FREE).jumpIf('ne', `mediate ${nr}`);
  a.label('madvise free').compareMemoryZero(GATE_PINS_MEMORY).jumpIf('ne', `mediate ${nr}`);
  saveArguments(a);
  checkRange(a, 'madvise mediate');
  a.call('recycle').testImmediate('rax', -1).jumpIf('e', 'madvise done');
  a.arithmetic('cmp', 'rax', TABLE_IS_FULL).jumpIf('e', 'madvise mediate');
  a.arithmetic('cmp', 'rax', IS_FOREIGN);
  restoreArguments(a);
  a.jumpIf('ne', 'madvise ask');
  // What is not the store's may be advised as it is; what may not be freed at all, the supervisor knows.
  a.arithmetic('cmp', 'rdx', MADV_FREE).jumpIf('e', 'madvise mediate');
  checkRange(a, 'madvise mediate');
  a.call('watched').testImmediate('rax', -1).jumpIf('ne', 'madvise mediate');
  restoreArguments(a);
  a.label('madvise ask').moveImmediate('rdx', MADV_DONTNEED).moveImmediate('rax', nr).syscall();
  a.store('rsp', SAVED.result, 'rax').testImmediate('rax', -1).jumpIf('e', 'madvise punch');
  a.arithmetic('cmp', 'rax', -ENOMEM).jumpIf('ne', 'madvise restore');
  a.label('madvise punch');
  checkRange(a, 'madvise restore');
  a.call('punch').label('madvise restore').load('rax', 'rsp', SAVED.result);
  a.label('madvise done');
  restoreArguments(a);
  leave(a, nr);
  a.label('madvise mediate');
  restoreArguments(a);
  a.jump(`mediate ${nr}`);
}

/** Flags, keys and sizes that are more than a change of the areas' protection are the supervisor's. */
export function mprotectRoutine(a: Assembler): void {
  const nr = SYS.mprotect;
  enter(a, nr);
  a.arithmetic('cmp', 'rsi', LARGE).jumpIf('ae', `mediate ${nr}`);
  a.testImmediate('rdx', ~PROT_READ_WRITE).jumpIf('e', 'mprotect call');
  a.testImmediate('rdx', ~(PROT_READ_WRITE | PROT_EXEC)).jumpIf('ne', `mediate ${nr}`);
  saveArguments(a);
  checkRange(a, 'mprotect mediate');
  a.call('watched').testImmediate('rax', -1).jumpIf('ne', 'mprotect mediate');
  restoreArguments(a);
  a.label('mprotect call').moveImmediate('rax', nr).syscall();
  leave(a, nr);
  a.label('mprotect mediate');
  restoreArguments(a);
  a.jump(`mediate ${nr}`);
}

/**
 * From any instruction of it a thread that must hurry may be sent to `perhaps watched`.
 *
 * In rax: 0, or not 0 when a watched range (process/watched.ts) overlaps [rdi, rdi + r10). Destroys rcx,
 * rdx, r8, r9.
 */
export function watchedSubroutine(a: Assembler): void {
  a.external('watched table', GATE_WATCHED);
  a.label('watched').loadAddress('r8', 'watched table').move('r9', 'rdi').add('r9', 'r10');
  a.emit(0x48, 0x63, 0x0d).displacement(GATE_WATCHED_COUNT); // movsxd rcx, dword [GATE_WATCHED_COUNT]
  a.move('rax', 'rcx').testImmediate('rcx', -1).jumpIf('s', 'watched end');
  a.label('next watched').arithmetic('add', 'rcx', -1).jumpIf('s', 'unwatched');
  a.move('rax', 'rcx').shiftLeft('rax', 4).add('rax', 'r8');
  a.emit(0x48, 0x8b, 0x50, 8).compare('rdx', 'rdi').jumpIf('be', 'next watched'); // mov rdx, [rax + 8]
  a.emit(0x48, 0x8b, 0x10).compare('rdx', 'r9').jumpIf('ae', 'next watched'); // mov rdx, [rax]
  a.label('watched end').return();
  a.label('unwatched').moveImmediate('rax', 0).return();
  a.label('perhaps watched').moveImmediate('rax', 1).return();
}
