/**
 * Islands: pages of code near a program's text, to which its call sites jump (call-sites.ts). A slot each:
 *
 * - futex: the private flag is cleared. The keys of private futexes belong to one address space (futex(2)),
 *   and there may be several. Back to the `syscall`.
 * - memory calls: on to the gate's routine, which returns behind the `syscall` (gate.ts).
 *
 * Nobody sleeps in a slot. It may be left at any instruction, and changes nothing but what a `syscall`
 * destroys, rax, the flags, and the futex operation's flag.
 */
import { SYS } from '../linux/syscall-numbers.js';
import { Assembler } from './assembler.js';
import { type CallSite, SITE_BYTES } from './call-sites.js';
import { type Gate, GATE_FRAME } from './gate.js';

export const SLOT_SIZE = 64;

const SYSCALL_SIZE = 2;
const FUTEX_PRIVATE_FLAG = 0x80;
const MAP_FIXED = 0x10;

/**
 * @param slot address of the slot
 * @param address of the site in the tracee
 */
export function assembleSlot(slot: number, site: CallSite, address: number, gate: Gate): Uint8Array {
  const a = new Assembler(slot);
  const call = address + site.code.length;
  a.external('call', call).external('behind', call + SYSCALL_SIZE);
  if (site.nr === undefined) {
    a.emit(...site.code)
      .arithmetic('cmp', 'rax', SYS.futex)
      .jumpIf('ne', 'call');
    a.arithmetic('and', 'rsi', ~FUTEX_PRIVATE_FLAG).jump('call');
  } else if (site.nr === SYS.futex) {
    a.emit(...site.code.subarray(SITE_BYTES)).arithmetic('and', 'rsi', ~FUTEX_PRIVATE_FLAG);
    a.moveImmediate('rax', site.nr).jump('call');
  } else {
    unlessOnStack(a, site.nr);
    a.label('gate').loadAddress('rcx', 'behind').jumpAbsolute(gate.routines.get(site.nr)!);
  }
  const code = a.finish();
  if (code.length > SLOT_SIZE) throw new Error(`a call site's island needs ${code.length} bytes`);
  return code;
}

/**
 * The gate's routines keep their frame below rsp. A call that takes that memory away (musl unmaps the
 * stack of a thread that ends, allocators drop what is below the stack pointer) is made where it was.
 */
function unlessOnStack(a: Assembler, nr: number): void {
  if (nr === SYS.brk) return;
  if (nr === SYS.mmap) a.testImmediate('r10', MAP_FIXED).jumpIf('e', 'gate');
  else {
    a.compare('rdi', 'rsp').jumpIf('ae', 'gate');
    a.emit(0x48, 0x8d, 0x8c, 0x37).word32(GATE_FRAME); // lea rcx, [rdi + rsi + GATE_FRAME]
    a.compare('rsp', 'rcx').jumpIf('ae', 'gate');
  }
  a.moveImmediate('rax', nr).jump('call');
}

/** The jump that replaces the site's first instruction. */
export function siteJump(address: number, slot: number): Uint8Array {
  const a = new Assembler(address);
  return a.external('slot', slot).jump('slot').finish();
}
