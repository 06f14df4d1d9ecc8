/**
 * How the routines free memory. `punch` gives pages of the store back to the kernel. That is what a free
 * means, and it is slow: to touch such a page again costs 2.3 µs, while anonymous memory costs 1.4 µs
 * (measured on Linux 6.18). So what an allocator frees and will use again is _recycled_ instead: its pages
 * are cleared, which costs 0.03 µs a page, and stay.
 *
 * A process keeps at most KEPT_PAGES cleared pages this way. Each is noted in a table, in the slot that its
 * number leads to; a page whose slot holds another one is not kept. A kept page that the program
 * uses again stays in its slot: when it is freed the next time, it is known there. When slots are found
 * taken too often, the supervisor empties those whose pages are in use (process/kept-pages.ts).
 *
 * Only memory that is the store's, mapped and writable may be cleared:
 *
 * - mincore says what is mapped, and which pages there are: a hole stays a hole;
 * - GATE_FOREIGN says where other things than the store may be mapped (process/foreign.ts), by granules of
 *   16 MiB, and no range is longer than one;
 * - a page that cannot be written faults, and the supervisor sends the thread to `recycle failed`.
 */
import { SYS } from '../linux/syscall-numbers.js';
import type { Assembler } from './assembler.js';
import {
  GATE_FOREIGN,
  GATE_FRAME,
  GATE_KEPT,
  GATE_PATIENCE,
  GRANULE_BITS,
  KEPT_PAGES,
} from './gate-layout.js';
import { IS_FOREIGN, SAVED, TABLE_IS_FULL } from './gate-memory.js';

const FALLOC_PUNCH_HOLE_KEEP_SIZE = 3;
const WORDS_PER_PAGE = 512;
/** Looked at with one mincore. */
const CHUNK_PAGES = 256;

const RED_ZONE = 128;
/** In mincore's vector, where 1 says that a page exists: its slot holds another page. */
const GIVE_BACK = 2;
/** So many pages of a chunk are given back one by one; with more, it is cheaper to give back the whole range at once. */
const MOST_GIVEN_BACK = 16;
/** Of a page's number: glibc's HEAP_MAX_SIZE. */
const ARENA_BITS = 14;
/** About the golden section of the table: the multiples of it are far apart. */
const SPREAD = 5063;

/** The routine's frame as a subroutine sees it: behind the return address. */
const FRAME = {
  address: 8 + SAVED.address,
  length: 8 + SAVED.length,
  left: 8 + SAVED.left,
  vector: 8 + SAVED.vector,
  index: 8 + SAVED.index,
  firstPage: 8 + SAVED.firstPage,
} as const;

/**
 * Into rdx: neighbours have neighbouring slots, so that a range is not in its own way; and places 64 MB
 * apart, where the C library puts its arenas, have different ones.
 */
function slotOf(a: Assembler, page: 'rax' | 'rdi'): void {
  a.move('rdx', page).shiftRight('rdx', ARENA_BITS).emit(0x48, 0x69, 0xd2).word32(SPREAD); // imul rdx, rdx, SPREAD
  a.add('rdx', page).arithmetic('and', 'rdx', KEPT_PAGES - 1);
}

/** Frees the store's pages below [rdi, rdi + r10), whole pages; what the store does not back is a hole already. */
export function punchSubroutine(a: Assembler, storeFd: number): void {
  a.label('punch').move('rdx', 'rdi');
  a.moveImmediate('rdi', storeFd).moveImmediate('rsi', FALLOC_PUNCH_HOLE_KEEP_SIZE);
  a.moveImmediate('rax', SYS.fallocate).syscall().return();
}

/**
 * Clears [rdi, rdi + r10), whole pages. In rax: 0 when that is done; 1 when it may not be, IS_FOREIGN when
 * other things than the store may be there, or TABLE_IS_FULL when the supervisor should look through the table as well: then a part may be cleared, and the
 * caller frees the range in another way. So a thread may be sent from any instruction to `recycle failed`.
 * Entry `recycle heap` is for what is known to be the store's. Destroys rcx, rdx, rsi, rdi, r8 to r11.
 */
export function recycleSubroutine(a: Assembler): void {
  if (SAVED.firstPage + 8 + RED_ZONE > GATE_FRAME) throw new Error('the frame has no room for the vector');
  a.external('foreign', GATE_FOREIGN).external('kept', GATE_KEPT);
  const compareForeign = (): void => {
    a.emit(0x80, 0x3c, 0x01, 0); // cmp byte [rcx + rax], 0
    a.jumpIf('ne', 'recycle foreign');
  };
  // A longer range could have a granule between its first and its last one, which nobody would look at.
  a.label('recycle')
    .arithmetic('cmp', 'r10', 2 ** GRANULE_BITS)
    .jumpIf('a', 'recycle foreign');
  a.loadAddress('rcx', 'foreign');
  a.move('rax', 'rdi').shiftRight('rax', GRANULE_BITS);
  compareForeign();
  a.move('rax', 'rdi').add('rax', 'r10').arithmetic('add', 'rax', -1).shiftRight('rax', GRANULE_BITS);
  compareForeign();

  a.label('recycle heap')
    .arithmetic('cmp', 'r10', KEPT_PAGES * 4096)
    .jumpIf('a', 'recycle failed');
  a.label('next chunk').store('rsp', FRAME.address, 'rdi').store('rsp', FRAME.left, 'r10');
  a.arithmetic('cmp', 'r10', CHUNK_PAGES * 4096).jumpIf('be', 'chunk');
  a.moveImmediate('r10', CHUNK_PAGES * 4096);
  a.label('chunk').store('rsp', FRAME.length, 'r10');
  a.move('rsi', 'r10').move('rdx', 'rsp').arithmetic('add', 'rdx', FRAME.vector);
  a.moveImmediate('rax', SYS.mincore).syscall().testImmediate('rax', -1).jumpIf('ne', 'recycle failed');
  a.load('rdi', 'rsp', FRAME.address).load('r10', 'rsp', FRAME.length);
  a.shiftRight('rdi', 12).shiftRight('r10', 12);
  a.loadAddress('r8', 'kept').move('r9', 'rsp').arithmetic('add', 'r9', FRAME.vector);

  // Is there a slot for every page that exists? rdi: number of the first page, rcx: index of one.
  a.move('rcx', 'r10').moveImmediate('r11', MOST_GIVEN_BACK);
  a.label('next slot').arithmetic('add', 'rcx', -1).jumpIf('s', 'clear');
  a.emit(0x41, 0x80, 0x3c, 0x09, 0).jumpIf('e', 'next slot'); // cmp byte [r9 + rcx], 0
  a.move('rax', 'rdi').add('rax', 'rcx');
  slotOf(a, 'rax');
  a.emit(0x49, 0x8b, 0x34, 0xd0); // mov rsi, [r8 + rdx * 8]
  a.testImmediate('rsi', -1).jumpIf('e', 'next slot');
  a.compare('rsi', 'rax').jumpIf('e', 'next slot');
  a.emit(0x41, 0xc6, 0x04, 0x09, GIVE_BACK); // mov byte [r9 + rcx], GIVE_BACK
  a.arithmetic('add', 'r11', -1).jumpIf('e', 'recycle failed');
  a.lockDecrement(GATE_PATIENCE).jumpIf('ne', 'next slot').moveImmediate('rax', TABLE_IS_FULL).return();
  a.label('recycle failed').moveImmediate('rax', 1).return();
  a.label('recycle foreign').moveImmediate('rax', IS_FOREIGN).return();

  a.label('clear').emit(0xfc); // cld
  a.move('rsi', 'rdi');
  a.label('next page').arithmetic('add', 'r10', -1).jumpIf('s', 'recycled');
  a.emit(0x43, 0x80, 0x3c, 0x11, 0).jumpIf('e', 'next page'); // cmp byte [r9 + r10], 0
  a.emit(0x43, 0x80, 0x3c, 0x11, GIVE_BACK).jumpIf('e', 'give back'); // cmp byte [r9 + r10], GIVE_BACK
  a.move('rdi', 'rsi').add('rdi', 'r10');
  slotOf(a, 'rdi');
  a.emit(0x49, 0x89, 0x3c, 0xd0); // mov [r8 + rdx * 8], rdi
  a.emit(0x48, 0xc1, 0xe7, 12); // shl rdi, 12
  a.moveImmediate('rcx', WORDS_PER_PAGE).moveImmediate('rax', 0);
  a.label('zeroing').emit(0xf3, 0x48, 0xab).jump('next page'); // rep stosq
  a.label('give back').store('rsp', FRAME.index, 'r10').store('rsp', FRAME.firstPage, 'rsi');
  a.move('rdi', 'rsi').add('rdi', 'r10').emit(0x48, 0xc1, 0xe7, 12); // shl rdi, 12
  a.moveImmediate('r10', 4096).call('punch');
  a.load('r10', 'rsp', FRAME.index).load('rsi', 'rsp', FRAME.firstPage).jump('next page');

  a.label('recycled').load('rdi', 'rsp', FRAME.address).load('r10', 'rsp', FRAME.left);
  a.load('rax', 'rsp', FRAME.length).add('rdi', 'rax').subtract('r10', 'rax').jumpIf('ne', 'next chunk');
  a.moveImmediate('rax', 0).return().label('recycle end');
}
