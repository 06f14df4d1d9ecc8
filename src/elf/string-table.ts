import type { ElfBytes } from './elf-bytes.js';

/** Linkers share the ends of names; no table of theirs becomes several times as long when it is taken apart. */
const LONGEST_EXPANSION = 16;

/**
 * The names in a string table, each read once. Every offset in it is a name, so that a few kilobytes can be made to
 * name as many megabytes: reading stops long before.
 */
export class StringTable {
  readonly #bytes: ElfBytes;
  readonly #start: number;
  readonly #end: number;
  readonly #known = new Map<number, string>();
  #budget: number;

  constructor(bytes: ElfBytes, start: number, size: number) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = start + size;
    this.#budget = size * LONGEST_EXPANSION;
  }

  at(offset: number): string {
    let text = this.#known.get(offset);
    if (text === undefined) {
      text = this.#bytes.string(this.#start + offset, this.#end);
      this.#budget -= text.length;
      if (this.#budget < 0) throw this.#bytes.bad('a string table is made of overlapping names');
      this.#known.set(offset, text);
    }
    return text;
  }
}
