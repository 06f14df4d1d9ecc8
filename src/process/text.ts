/**
 * Text of a generation, without what is ours in it: the one place that reads and writes bytes where breakpoints
 * may stand. Text is a private mapping, so what is written is in one host process only.
 */
import { ProcessMemory } from '../linux/memory.js';
import type { Breakpoint, Generation } from './model.js';

export const INT3 = 0xcc;

/** @returns what the program would see there; shorter where nothing is mapped */
export function readText(text: Generation, address: number, length: number): Uint8Array {
  using memory = new ProcessMemory(text.hostPid);
  const bytes = memory.read(address, length);
  for (const [offset, breakpoint] of breakpointsIn(text, address, bytes.length))
    bytes[offset] = breakpoint.original;
  return bytes;
}

/** Nobody may be about to execute these bytes; breakpoints among them stay. @returns whether all were written */
export function writeText(text: Generation, address: number, bytes: Uint8Array): boolean {
  using memory = new ProcessMemory(text.hostPid);
  const under = Uint8Array.from(bytes);
  for (const [offset, breakpoint] of breakpointsIn(text, address, bytes.length)) {
    breakpoint.original = bytes[offset]!;
    if (breakpoint.stepping === 0) under[offset] = INT3;
  }
  return memory.write(address, under);
}

function breakpointsIn(text: Generation, address: number, length: number): [number, Breakpoint][] {
  return [...text.breakpoints.values()]
    .map((breakpoint): [number, Breakpoint] => [breakpoint.address - address, breakpoint])
    .filter(([offset]) => offset >= 0 && offset < length);
}

/**
 * A copy of a text that the kernel makes while breakpoints come and go: by fork, by the clone of a generation.
 * Every byte of ours that stood there at any time from before the copy until its cleaning may be in it.
 */
export class TextCopy implements Disposable {
  readonly #originals = new Map<number, number>();

  /** To be made before the copy begins. */
  constructor(readonly text: Generation) {
    for (const { address, original } of text.breakpoints.values()) this.note(address, original);
    text.copies.add(this);
  }

  note(address: number, original: number): void {
    this.#originals.set(address, original);
  }

  /** @param pid a task of the process that has the copy */
  clean(pid: number): void {
    if (this.#originals.size === 0) return;
    using memory = new ProcessMemory(pid);
    for (const [address, original] of this.#originals) memory.write(address, Uint8Array.of(original));
  }

  [Symbol.dispose](): void {
    this.text.copies.delete(this);
  }
}
