/**
 * The launcher: a tiny static ELF executable that only sleeps. The supervisor spawns it from a memfd,
 * seizes it, and makes it install the filter and execute the user's command; a second one serves as the
 * doorbell.
 */
import { SYS } from '../linux/syscall-numbers.js';
import { Assembler } from './assembler.js';
import { CODE_START, MEMORY_START, staticExecutable } from './executable.js';

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
  const a = new Assembler(CODE_START);
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
  const image = staticExecutable(a.finish(), scratchSize);
  return { image, syscall: a.addressOf('syscall'), scratch: MEMORY_START, scratchSize };
}
