/**
 * The launcher: a tiny static ELF executable that only sleeps. The supervisor spawns it from a memfd,
 * seizes it, and makes it install the filter and execute the user's command; a second one serves as the
 * doorbell. See elf(5) for the headers.
 */
import { SYS } from '../linux/syscall-numbers.js';
import { Assembler } from './assembler.js';

const BASE = 0x40_0000;
const HEADERS = 64 + 56;
const PF_RWX = 7;

export interface Launcher {
  image: Uint8Array;
  /** The address of a `syscall` instruction. */
  syscall: number;
  /** Writable memory for arguments. */
  scratch: number;
  scratchSize: number;
}

export const DOORBELL_FD = 3;

/**
 * @param kind `sleeper` waits for its tracer; `doorbell` reports a SIGTRAP stop per read from descriptor 3
 *   and ends at its end of file
 */
export function assembleLauncher(kind: 'sleeper' | 'doorbell', scratchSize: number): Launcher {
  const a = new Assembler(BASE + HEADERS);
  a.label('start');
  if (kind === 'sleeper') {
    a.moveImmediate('rax', SYS.pause).label('syscall').syscall().jump('start');
  } else {
    // It must not keep the program's pipes and terminal open.
    for (const [first, last] of [
      [0, DOORBELL_FD - 1],
      [DOORBELL_FD + 1, 0x7fff_ffff],
    ] as const) {
      a.moveImmediate('rdi', first).moveImmediate('rsi', last).moveImmediate('rdx', 0);
      a.moveImmediate('rax', SYS.close_range).syscall();
    }
    a.label('listen').moveImmediate('rdi', DOORBELL_FD).move('rsi', 'rsp').arithmetic('add', 'rsi', -256);
    a.moveImmediate('rdx', 64).moveImmediate('rax', SYS.read).label('syscall').syscall();
    a.arithmetic('cmp', 'rax', 0).jumpIf('e', 'end').emit(0xcc).jump('listen');
    a.label('end').moveImmediate('rdi', 0).moveImmediate('rax', SYS.exit_group).syscall();
  }
  const code = a.finish();
  const image = new Uint8Array(HEADERS + code.length);
  const view = new DataView(image.buffer);
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // e_type: ET_EXEC
  view.setUint16(18, 62, true); // e_machine: EM_X86_64
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(a.addressOf('start')), true);
  view.setBigUint64(32, 64n, true); // e_phoff
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true); // e_phnum
  view.setUint32(64, 1, true); // PT_LOAD
  view.setUint32(68, PF_RWX, true);
  view.setBigUint64(80, BigInt(BASE), true);
  view.setBigUint64(88, BigInt(BASE), true);
  view.setBigUint64(96, BigInt(image.length), true);
  view.setBigUint64(104, BigInt(0x1000 + scratchSize), true);
  view.setBigUint64(112, 0x1000n, true);
  image.set(code, HEADERS);
  return { image, syscall: a.addressOf('syscall'), scratch: BASE + 0x1000, scratchSize };
}
