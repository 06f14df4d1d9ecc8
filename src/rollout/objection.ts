/** Whether a thread may leave the old code now: the quiescence test, applied to tasks. */
import { ProcessMemory } from '../linux/memory.js';
import { kernelPlace, type MapsLine, readMaps } from '../linux/proc.js';
import type { Process, Thread } from '../process/model.js';
import { originalSite } from '../process/rewrite.js';
import type { Task } from '../process/task.js';
import { Registers } from '../x64/registers.js';
import type { Modules } from './program.js';
import { type CodeRange, QuiescenceTest, type Verdict } from './quiescence.js';

const QUIESCENT: Verdict = { kind: 'quiescent' };

export class Judge {
  readonly #test: QuiescenceTest;
  readonly #names: (address: number) => string;
  readonly #stacks: MapsLine[];
  readonly #onlyPlace = new Registers();

  constructor(
    readonly process: Process,
    modules: Modules,
    readonly ranges: readonly CodeRange[],
    names: (address: number) => string,
  ) {
    const find = (pc: number): ReturnType<Modules['find']> =>
      modules.find(originalSite(process.space, pc) ?? pc);
    this.#test = new QuiescenceTest(ranges, find);
    this.#names = names;
    this.#stacks = writableAreas(process);
  }

  /** @param task stopped, registers fetched */
  judge(thread: Thread, task: Pick<Task, 'tid' | 'regs'>): Verdict {
    using memory = new ProcessMemory(task.tid);
    const sp = task.regs.get('rsp');
    const alternate = alternateStack(thread, sp);
    const below =
      alternate &&
      this.#stackWith(thread.tid === this.process.pid ? this.#mainStack() : task.regs.get('fs_base'));
    return this.#test.judge({
      registers: task.regs,
      stackEnd: alternate?.end ?? this.#stackEnd(sp),
      ...(below ? { interruptedStack: below } : {}),
      readMemory: (address, buffer) => memory.readInto(address, buffer),
    });
  }

  /** The main thread's stack is the highest of all; another thread's has its thread control block at its end. */
  #mainStack(): number {
    return this.#stacks.filter(({ end }) => end < 2 ** 47).at(-1)?.start ?? 0;
  }

  /**
   * Of a sleeper only the stack and the way out of the kernel are known. A way back into old code lies on the
   * stack; where the stack has none, the other registers do not matter.
   */
  judgeSleeper(thread: Thread): Verdict | 'needs-registers' {
    const place = kernelPlace(thread.process.pid, thread.tid);
    if (!place?.asleep || alternateStack(thread, place.sp)) return 'needs-registers';
    this.#onlyPlace.set('rip', place.pc);
    this.#onlyPlace.set('rsp', place.sp);
    using memory = new ProcessMemory(thread.home.tid);
    const buffer = new Uint8Array(this.#stackEnd(place.sp) - place.sp + RED_ZONE);
    const read = memory.readInto(place.sp - RED_ZONE, buffer);
    if (read < buffer.length) return 'needs-registers';
    const words = new DataView(buffer.buffer);
    for (let at = 0; at + 8 <= buffer.length; at += 8) {
      const value = words.getUint32(at + 4, true) * 0x1_0000_0000 + words.getUint32(at, true);
      for (const { start, end } of this.ranges) if (value > start && value <= end) return 'needs-registers';
    }
    for (const { start, end } of this.ranges)
      if (place.pc > start && place.pc < end) return 'needs-registers';
    return QUIESCENT;
  }

  /**
   * Judges a thread without stopping it, for nothing: what is read for the first time, and code that runs for the
   * first time, take their time before a thread stands still for them.
   */
  rehearse(thread: Thread): void {
    const place = kernelPlace(thread.process.pid, thread.tid);
    if (!place?.asleep) return;
    const registers = new Registers();
    registers.set('rip', place.pc);
    registers.set('rsp', place.sp);
    using memory = new ProcessMemory(thread.home.tid);
    const readMemory = (address: number, buffer: Uint8Array): number => memory.readInto(address, buffer);
    this.#test.judge({ registers, stackEnd: this.#stackEnd(place.sp), readMemory });
    this.#test.unwind({ registers, stackEnd: this.#stackEnd(place.sp), readMemory });
  }

  describe(verdict: Verdict): string {
    if (verdict.kind === 'active') return `inside ${this.#names(verdict.range.start)}`;
    if (verdict.kind === 'unknown') return `its stack cannot be judged: ${verdict.reason}`;
    return 'quiescent';
  }

  #stackEnd(sp: number): number {
    return this.#stackWith(sp)?.end ?? sp;
  }

  #stackWith(address: number): { start: number; end: number } | undefined {
    const holds = ({ start, end }: { start: number; end: number }): boolean =>
      start <= address && address < end;
    const known = this.#stacks.find(holds);
    if (known) return known;
    // Mapped after we looked, for a thread born since.
    this.#stacks.splice(0, this.#stacks.length, ...writableAreas(this.process));
    return this.#stacks.find(holds);
  }
}

/** The thread's alternate signal stack, if it is there that it runs. */
function alternateStack(
  { alternateStack: named }: Thread,
  sp: number,
): { start: number; end: number } | undefined {
  return named && named.start <= sp && sp <= named.end ? named : undefined;
}

const writableAreas = (process: Process): MapsLine[] =>
  readMaps(process.space.hostPid).filter((area) => area.permissions.startsWith('rw'));

const RED_ZONE = 128;
