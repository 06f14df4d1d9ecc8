/**
 * The gate's code.
 *
 *     GATE_START     call, park, batch and the memory routines      r-x  system calls from here run untrapped
 *     GATE_FREE_END  trap routines                                  r-x  system calls from here are mediated
 *     GATE_DATA      the words that the supervisor and the routines share   rw-
 *     GATE_KEPT      pages kept for reuse                                   rw-
 *     GATE_LISTS     lists of system calls for `batch`                      rw-
 *     GATE_FOREIGN   where other things than the store are mapped           rw-
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
import { brkRoutine } from './gate-break.js';
import { GATE_CALLS, GATE_FRAME, GATE_FREE_END, GATE_START, MARKER } from './gate-layout.js';
import {
  madviseRoutine,
  mmapRoutine,
  mprotectRoutine,
  munmapRoutine,
  SAVED,
  watchedSubroutine,
} from './gate-memory.js';
import { punchSubroutine, recycleSubroutine } from './gate-recycle.js';

export * from './gate-layout.js';

const PAGE = 4096;

export interface Gate {
  /** Written at GATE_START: the free page followed by the trap page. */
  code: Uint8Array;
  /** `syscall`, then the marker: the registers say which call. */
  call: number;
  /** An interruptible sleep without end: where a parked home task waits. */
  park: number;
  /** Performs r12 calls from the list at rbx (8 words each: number, six arguments, result), then the marker. */
  batch: number;
  /** The one instruction of the routines that writes to the program's memory: `rep stosq`. */
  zeroing: number;
  /** Loops of the routines: inside one a thread that must hurry may be sent to where it is given up. */
  loops: { start: number; end: number; givenUp: number }[];
  /** Where a page that cannot be cleared is told. */
  recyclingFailed: number;
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
  munmapRoutine(a);
  madviseRoutine(a);
  mprotectRoutine(a);
  brkRoutine(a);
  recycleSubroutine(a);
  punchSubroutine(a, storeFd);
  watchedSubroutine(a);

  a.label('store name').emit(...new TextEncoder().encode('atlas\0'));
  a.label('shared name').emit(...new TextEncoder().encode('atlas-shared\0'));
  a.align(PAGE);
  if (a.here !== GATE_FREE_END) throw new Error('the gate outgrew its page');
  for (const nr of GATE_CALLS) {
    a.label(`trap ${nr}`).moveImmediate('rax', nr).syscall();
    a.load('rcx', 'rsp', SAVED.rcx).moveStack(GATE_FRAME).jumpRegister('rcx');
  }
  a.align(PAGE);
  const loop = (start: string, end: string, givenUp: string): Gate['loops'][number] => ({
    start: a.addressOf(start),
    end: a.addressOf(end),
    givenUp: a.addressOf(givenUp),
  });
  return {
    code: a.finish(),
    call: a.addressOf('call'),
    park: a.addressOf('park'),
    batch: a.addressOf('batch'),
    zeroing: a.addressOf('zeroing'),
    loops: [
      loop('recycle', 'recycle end', 'recycle failed'),
      loop('watched', 'watched end', 'perhaps watched'),
    ],
    recyclingFailed: a.addressOf('recycle failed'),
    storeName: a.addressOf('store name'),
    sharedName: a.addressOf('shared name'),
    routines: new Map(GATE_CALLS.map((nr) => [nr, a.addressOf(`enter ${nr}`)])),
  };
}
