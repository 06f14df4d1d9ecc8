/**
 * The gate's brk: the heap is a mapping of the store. What the program gives back stays mapped, without
 * access, up to GATE_BREAK_TOP, so that its pages are still there when the heap grows again. Growing beyond
 * the top is the supervisor's.
 */
import { SYS } from '../linux/syscall-numbers.js';
import type { Assembler } from './assembler.js';
import {
  GATE_BREAK_END,
  GATE_BREAK_LOCK,
  GATE_BREAK_START,
  GATE_BREAK_TOP,
  GATE_PINS_MEMORY,
} from './gate-layout.js';
import { enter, leave, restoreArguments, SAVED, saveArguments, TABLE_IS_FULL } from './gate-memory.js';

const PAGE = 4096;
const PROT_NONE = 0;
const PROT_READ_WRITE = 3;

export function brkRoutine(a: Assembler): void {
  const nr = SYS.brk;
  enter(a, nr);
  saveArguments(a);
  a.label('brk lock').moveImmediate('rax', 0).moveImmediate('rcx', 1).compareExchange(GATE_BREAK_LOCK, 'rcx');
  a.jumpIf('e', 'brk locked').moveImmediate('rax', SYS.sched_yield).syscall().jump('brk lock');

  a.label('brk locked').loadFrom('rax', GATE_BREAK_END);
  a.loadFrom('rdx', GATE_BREAK_START).compare('rdi', 'rdx').jumpIf('b', 'brk done');
  a.move('rdx', 'rdi').shiftRight('rdx', 47).jumpIf('ne', 'brk done');
  pageUp(a, 'rsi', 'rax');
  pageUp(a, 'rdx', 'rdi');
  a.compare('rdx', 'rsi').jumpIf('e', 'brk set').jumpIf('b', 'brk shrink');
  a.loadFrom('rcx', GATE_BREAK_TOP).compare('rdx', 'rcx').jumpIf('a', 'brk mediate');
  // Growing: from the old end rsi to the new one.
  a.move('rdi', 'rsi').subtract('rdx', 'rsi').move('rsi', 'rdx').moveImmediate('rdx', PROT_READ_WRITE);
  a.moveImmediate('rax', SYS.mprotect).syscall().testImmediate('rax', -1).jumpIf('e', 'brk set');
  a.loadFrom('rax', GATE_BREAK_END).jump('brk done');

  // A seal refuses that the break falls, and the supervisor asks before anything is cleared.
  a.label('brk shrink').compareMemoryZero(GATE_PINS_MEMORY).jumpIf('ne', 'brk mediate');
  a.move('rdi', 'rdx').move('r10', 'rsi').subtract('r10', 'rdx');
  a.store('rsp', SAVED.freed, 'rdi').store('rsp', SAVED.freedLength, 'r10');
  a.call('recycle heap').testImmediate('rax', -1).jumpIf('e', 'brk close');
  a.arithmetic('cmp', 'rax', TABLE_IS_FULL).jumpIf('e', 'brk mediate');
  a.load('rdi', 'rsp', SAVED.freed).load('r10', 'rsp', SAVED.freedLength).call('punch');
  a.label('brk close').load('rdi', 'rsp', SAVED.freed).load('rsi', 'rsp', SAVED.freedLength);
  a.moveImmediate('rdx', PROT_NONE).moveImmediate('rax', SYS.mprotect).syscall();

  a.label('brk set').load('rax', 'rsp', SAVED.rdi).storeTo(GATE_BREAK_END, 'rax');
  a.label('brk done').clearMemory(GATE_BREAK_LOCK).store('rsp', SAVED.result, 'rax');
  restoreArguments(a);
  a.load('rax', 'rsp', SAVED.result);
  leave(a, nr);
  a.label('brk mediate').clearMemory(GATE_BREAK_LOCK);
  restoreArguments(a);
  a.jump(`mediate ${nr}`);
}

function pageUp(a: Assembler, to: 'rsi' | 'rdx', from: 'rax' | 'rdi'): void {
  a.move(to, from)
    .arithmetic('add', to, PAGE - 1)
    .arithmetic('and', to, -PAGE);
}
