import type { ReadWord } from './expression.js';
import { type Frame, frameOf } from './frame.js';
import { REGISTER_COUNT, RSP } from './registers.js';

/*
 * What a handler returns to when its C library gives the trampoline no call frame information (musl, and
 * programs with a restorer of their own). Nothing is guessed: these bytes are the next to run, and what they
 * do is fixed by the kernel's interface.
 *
 *     48 c7 c0 0f 00 00 00    mov $15, %rax      (rt_sigreturn)
 *     0f 05                   syscall
 */
const MOV_RAX_15 = 0x0f_c0_c7_48n;
const SYSCALL_AFTER_MOV = 0x05_0fn;

/** struct ucontext: uc_flags, uc_link and uc_stack precede uc_mcontext (<asm/ucontext.h>). */
const MCONTEXT_OFFSET = 40;

/** DWARF numbers in the order of struct sigcontext (<asm/sigcontext.h>): r8 to r15, rdi, rsi, ... rip. */
const SIGCONTEXT_ORDER = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, RSP, 16];

/** True when the frame stands at the first instruction of a bare rt_sigreturn trampoline. */
export function isBareSignalTrampoline(frame: Frame, readWord: ReadWord): boolean {
  const first = readWord(frame.pc);
  const rest = readWord(frame.pc + 7);
  if (first === undefined || rest === undefined) return false;
  return BigInt.asUintN(56, first) === MOV_RAX_15 && BigInt.asUintN(16, rest) === SYSCALL_AFTER_MOV;
}

/** The frame that the signal interrupted; the handler's return left the stack pointer at the ucontext. */
export function interruptedFrame(trampoline: Frame, readWord: ReadWord): Frame | undefined {
  const registers: (bigint | undefined)[] = Array.from({ length: REGISTER_COUNT });
  SIGCONTEXT_ORDER.forEach((register, position) => {
    registers[register] = readWord(trampoline.stackPointer + MCONTEXT_OFFSET + position * 8);
  });
  return frameOf(registers, true);
}
