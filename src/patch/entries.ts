import { Code, Decoder, DecoderOptions, Mnemonic } from 'iced-x86';
import { type ElfFile, type ElfSymbol, isDefined, STT } from '../elf/index.js';
import { JUMP_SIZE } from './diff.js';
import type { ReplacedPart } from './note.js';

/** What is around the entries of a linked program's functions: who else has that address, and how much room there is. */
export class Entries {
  readonly #elf: ElfFile;
  readonly #functions = new Map<number, string[]>();
  /** Every place that has a name, ascending. */
  readonly #places: number[];

  constructor(elf: ElfFile) {
    this.#elf = elf;
    const places = new Set<number>();
    for (const symbol of elf.symbols) {
      if (!isDefined(symbol) || symbol.type === STT.SECTION || symbol.type === STT.TLS) continue;
      places.add(symbol.value);
      if (symbol.type !== STT.FUNC) continue;
      // An exported one may have its version behind the name.
      const name = symbol.name.replace(/@.*/, '');
      const others = this.#functions.get(symbol.value);
      if (others === undefined) this.#functions.set(symbol.value, [name]);
      else others.push(name);
    }
    this.#places = [...places].sort((a, b) => a - b);
  }

  /** Why the code there cannot be replaced. @param isEntry whether a jump has to be written there */
  problemsAt(symbol: ElfSymbol, part: ReplacedPart, isEntry: boolean): string[] {
    const folded = this.#foldedWith(symbol, part.aliases);
    const reasons: string[] = [];
    if (folded.length > 0) {
      reasons.push(
        `${part.symbol}: the linker has folded it with ${folded.join(', ')}, which would change too`,
      );
    }
    if (isEntry && !this.#hasRoomForJump(symbol, part.size)) {
      reasons.push(`${part.symbol}: ${part.size} bytes are too small for a ${JUMP_SIZE}-byte jump`);
    }
    return reasons;
  }

  /** The functions of equal code that the linker folded into that one, besides its own names. */
  #foldedWith({ value }: ElfSymbol, names: readonly string[]): string[] {
    const own = new Set(names);
    return (this.#functions.get(value) ?? []).filter((name) => !own.delete(name));
  }

  /**
   * Whether a jump fits at a function's entry. It may be longer than the function: compilers align functions, and what
   * the linker fills the gap to the next one with never runs.
   *
   * @param size of the function; its symbol may not have it
   */
  #hasRoomForJump({ section, value }: ElfSymbol, size: number): boolean {
    if (size >= JUMP_SIZE) return true;
    const header = this.#elf.sections[section];
    if (header === undefined) return false;
    const end = Math.min(this.#placeAfter(value), header.address + header.size);
    const gap = this.#elf.bytesAt(value + size, Math.min(end - value - size, LONGEST_GAP));
    return gap !== undefined && value + JUMP_SIZE <= end && fillerLength(gap) >= JUMP_SIZE - size;
  }

  #placeAfter(address: number): number {
    let low = 0;
    let high = this.#places.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#places[middle]! > address) high = middle;
      else low = middle + 1;
    }
    return this.#places[low] ?? Number.POSITIVE_INFINITY;
  }
}

/** Functions are aligned to 16 bytes, or at most to a cache line. */
const LONGEST_GAP = 64;

/** How many of the bytes are instructions that do nothing, or what no function begins with. */
function fillerLength(gap: Uint8Array): number {
  const decoder = new Decoder(64, gap, DecoderOptions.None);
  let length = 0;
  while (decoder.canDecode) {
    const instruction = decoder.decode();
    const isFiller =
      instruction.mnemonic === Mnemonic.Nop || instruction.code === Code.Int3 || isZeros(gap, length);
    instruction.free();
    if (!isFiller) break;
    length = decoder.position;
  }
  decoder.free();
  return length;
}

const isZeros = (bytes: Uint8Array, at: number): boolean => bytes[at] === 0 && bytes[at + 1] === 0;
