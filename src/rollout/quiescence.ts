import { type Frame, innermostFrame } from '../dwarf/frame.js';
import { type ReadMemory, wordReader } from '../dwarf/memory-window.js';
import { DWARF_REGISTER_NAMES, type RegisterName, type RegisterSource } from '../dwarf/registers.js';
import { backtrace, type FindModule } from '../dwarf/unwind.js';

/** The code of a replaced function: [start, end). */
export interface CodeRange {
  readonly start: number;
  readonly end: number;
}

export interface StackArea {
  readonly start: number;
  readonly end: number;
}

/** One stopped thread, as it would go on in user mode. */
export interface StoppedThread {
  readonly registers: RegisterSource & {
    /** The value as a number; it may be rounded above 2^53, where no code is. */
    get(register: RegisterName): number;
  };
  /** The end of the stack that holds rsp: of its mapping, or of the alternate stack itself. */
  readonly stackEnd: number;
  /** The stack that the thread left when a signal put it on its alternate stack. */
  readonly interruptedStack?: StackArea;
  readonly readMemory: ReadMemory;
}

export type Verdict =
  | { readonly kind: 'quiescent' }
  | {
      readonly kind: 'active';
      readonly range: CodeRange;
      /** Where the outermost active frame stands: the one that returns last. */
      readonly pc: number;
      /** Where that frame will return to; `undefined` when its caller is not known. */
      readonly returnAddress: number | undefined;
      /**
       * The stack pointer right after that return. A thread that reaches `returnAddress` with a lower one
       * returned from an inner activation of the same function.
       */
      readonly callerStackPointer: number | undefined;
    }
  | { readonly kind: 'unknown'; readonly reason: string };

const QUIESCENT: Verdict = { kind: 'quiescent' };

/** Below rsp a function may keep values without moving rsp (System V ABI, AMD64, 3.2.2). */
const RED_ZONE = 128;
const PAGE = 4096;
const CHUNK = 64 * 1024;
const HIGH_WORD = 0x1_0000_0000;
const NOWHERE = -1;

/**
 * Decides whether stopped threads are quiescent with respect to the replaced functions: whether they can go on
 * without ever running another instruction of the old code.
 *
 * First every word that could be a way back is compared with the ranges: registers, red zone, stack. A word that
 * points into a range is no proof (stacks are full of stale words), but no such word is one. Only then the
 * stack is unwound.
 *
 * What counts as inside [start, end):
 *
 * | value | as a stopped or interrupted pc | as a return address |
 * | --- | --- | --- |
 * | start | no: the next instruction is the jump to the new function | no: it belongs to a call at the end of the function before |
 * | between | yes | yes |
 * | end | no | yes: the call was the function's last instruction and will not return there |
 *
 * Not visible here: contexts that the program itself has switched away from (makecontext, coroutines), whose
 * stacks belong to no stopped thread.
 */
export class QuiescenceTest {
  readonly #ranges: readonly CodeRange[];
  readonly #lowest: number;
  readonly #highest: number;
  readonly #find: FindModule;
  readonly #bytes = new Uint8Array(CHUNK);
  readonly #halves = new Uint32Array(this.#bytes.buffer);

  constructor(ranges: readonly CodeRange[], find: FindModule) {
    this.#ranges = ranges;
    this.#lowest = Math.min(...ranges.map(({ start }) => start));
    this.#highest = Math.max(...ranges.map(({ end }) => end));
    this.#find = find;
  }

  judge(thread: StoppedThread): Verdict {
    const { registers } = thread;
    const stackPointer = registers.get('rsp');
    // Words at odd places would escape the scan, which reads aligned words only.
    const scannable = stackPointer % 8 === 0;
    if (
      scannable &&
      this.#rangeOfPc(registers.get('rip')) === undefined &&
      this.#suspectRegister(registers) === undefined &&
      this.#suspectWord(thread, stackPointer, true) === NOWHERE
    ) {
      return QUIESCENT;
    }
    return this.#judgeByFrames(thread, scannable);
  }

  /** The frames alone decide: slower, and the same answer where they are complete. */
  unwind(thread: StoppedThread): Verdict {
    return this.#judgeByFrames(thread, thread.registers.get('rsp') % 8 === 0);
  }

  #judgeByFrames(thread: StoppedThread, scannable: boolean): Verdict {
    const innermost = innermostFrame(thread.registers);
    const { frames, end } = backtrace(innermost, this.#find, wordReader(thread.readMemory));
    for (let i = frames.length - 1; i >= 0; i--) {
      const frame = frames[i]!;
      const range = this.#rangeOfFrame(frame);
      if (range === undefined) continue;
      const caller = frames[i + 1];
      return {
        kind: 'active',
        range,
        pc: frame.pc,
        returnAddress: caller?.pc,
        callerStackPointer: caller?.stackPointer,
      };
    }
    if (end.kind === 'complete') return QUIESCENT;
    const suspicion = scannable ? this.#suspicionBeyond(frames.at(-1)!, thread) : 'the stack is not aligned';
    return suspicion === undefined ? QUIESCENT : { kind: 'unknown', reason: `${end.reason}; ${suspicion}` };
  }

  /**
   * The frames up to `last` are accounted for, and nobody knows who called `last`. It is still safe when nothing
   * that its unknown callers could use points into a range.
   */
  #suspicionBeyond(last: Frame, thread: StoppedThread): string | undefined {
    const register = last.registers.findIndex(
      (value) => value !== undefined && this.#suspects(Number(value)),
    );
    if (register >= 0) return `${DWARF_REGISTER_NAMES[register]} may point into a replaced function`;
    const onStack = last.stackPointer >= thread.registers.get('rsp') && last.stackPointer < thread.stackEnd;
    const interrupted = thread.interruptedStack;
    const onInterrupted =
      interrupted && last.stackPointer >= interrupted.start && last.stackPointer < interrupted.end;
    if (!onStack && !onInterrupted) return 'the thread runs on a stack that is not its own';
    const word = onInterrupted
      ? this.#suspectWordOf(thread.readMemory, last.stackPointer, interrupted.end, last.interrupted)
      : this.#suspectWord(thread, last.stackPointer, last.interrupted);
    if (word === NOWHERE) return undefined;
    return `the word at 0x${word.toString(16)} points into a replaced function or cannot be read`;
  }

  #suspectRegister(registers: StoppedThread['registers']): RegisterName | undefined {
    for (const name of DWARF_REGISTER_NAMES) {
      if (name !== 'rip' && this.#suspects(registers.get(name))) return name;
    }
    return undefined;
  }

  /** The address of the first suspect or unreadable word of the thread's stacks, or NOWHERE. */
  #suspectWord(thread: StoppedThread, stackPointer: number, withRedZone: boolean): number {
    const { readMemory, stackEnd, interruptedStack } = thread;
    const word = this.#suspectWordOf(readMemory, stackPointer, stackEnd, withRedZone);
    if (word !== NOWHERE || interruptedStack === undefined) return word;
    const live = this.#interruptedStackPointer(readMemory, stackPointer, stackEnd, interruptedStack);
    return this.#suspectWordOf(readMemory, live, interruptedStack.end, true);
  }

  #suspectWordOf(
    readMemory: ReadMemory,
    stackPointer: number,
    stackEnd: number,
    withRedZone: boolean,
  ): number {
    if (!withRedZone) return this.#scan(readMemory, stackPointer, stackEnd);
    const redZone = stackPointer - RED_ZONE;
    const page = stackPointer - (stackPointer % PAGE);
    // Where the red zone reaches into the guard page, nothing was ever written there.
    const mapped = redZone >= page || readMemory(redZone, this.#bytes.subarray(0, 8)) === 8;
    return this.#scan(readMemory, mapped ? redZone : page, stackEnd);
  }

  /** The address of the first suspect word of [from, to), or of what cannot be read, or NOWHERE. */
  #scan(readMemory: ReadMemory, from: number, to: number): number {
    const halves = this.#halves;
    const lowest = this.#lowest;
    const highest = this.#highest;
    for (let at = from; at < to; at += CHUNK) {
      const length = Math.min(CHUNK, to - at);
      const read = readMemory(at, this.#bytes.subarray(0, length));
      for (let i = 0; i < (read >>> 3) * 2; i += 2) {
        const value = halves[i + 1]! * HIGH_WORD + halves[i]!;
        if (value > lowest && value <= highest && this.#suspects(value)) return at + i * 4;
      }
      if (read < length) return at + read;
    }
    return NOWHERE;
  }

  /**
   * A lower bound for the stack pointer that the signal interrupted, so that a main stack of many megabytes need
   * not be read: the signal frame on the alternate stack holds it, hence the lowest word there that points
   * into the interrupted stack is not above it.
   */
  #interruptedStackPointer(readMemory: ReadMemory, from: number, to: number, stack: StackArea): number {
    const halves = this.#halves;
    let lowest = stack.end;
    for (let at = from; at < to; at += CHUNK) {
      const length = Math.min(CHUNK, to - at);
      if (readMemory(at, this.#bytes.subarray(0, length)) < length) return stack.start;
      for (let i = 0; i < (length >>> 3) * 2; i += 2) {
        const value = halves[i + 1]! * HIGH_WORD + halves[i]!;
        if (value >= stack.start && value < lowest) lowest = value;
      }
    }
    return lowest === stack.end ? stack.start : lowest - (lowest % 8);
  }

  /** Whether the value may be a way into old code: a return address, or a saved pc of a signal frame. */
  #suspects(value: number): boolean {
    if (value <= this.#lowest || value > this.#highest) return false;
    for (const { start, end } of this.#ranges) {
      if (value > start && value <= end) return true;
    }
    return false;
  }

  #rangeOfPc(pc: number): CodeRange | undefined {
    return this.#ranges.find(({ start, end }) => pc > start && pc < end);
  }

  #rangeOfFrame({ pc, interrupted }: Frame): CodeRange | undefined {
    if (interrupted) return this.#rangeOfPc(pc);
    return this.#ranges.find(({ start, end }) => pc > start && pc <= end);
  }
}
