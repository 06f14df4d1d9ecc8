import { DWARF_REGISTER_NAMES, type RegisterSource, type RegisterValues, RIP, RSP } from './registers.js';

/** One activation of a function on a thread's stack. */
export interface Frame {
  /** The instruction that runs next in this frame: for a frame that made a call, its return address. */
  readonly pc: number;
  readonly stackPointer: number;
  /**
   * True when `pc` was reached by running, not by a call: the innermost frame, and the frame that a signal
   * interrupted.
   */
  readonly interrupted: boolean;
  readonly registers: RegisterValues;
}

/** The innermost frame of a stopped thread. */
export function innermostFrame(registers: RegisterSource): Frame {
  const values = DWARF_REGISTER_NAMES.map((name) => registers.exact(name));
  return frameOf(values, true)!;
}

/** A frame from its registers; `undefined` without an instruction pointer and a stack pointer. */
export function frameOf(registers: RegisterValues, interrupted: boolean): Frame | undefined {
  const pc = registers[RIP];
  const stackPointer = registers[RSP];
  if (pc === undefined || stackPointer === undefined) return undefined;
  return { pc: Number(pc), stackPointer: Number(stackPointer), interrupted, registers };
}

/**
 * The address that names the instruction this frame is in. A return address can be the first byte of the next
 * function when the call is the last instruction of its own (a call that does not return).
 */
export function lookupAddress(frame: Frame): number {
  return frame.interrupted ? frame.pc : frame.pc - 1;
}
