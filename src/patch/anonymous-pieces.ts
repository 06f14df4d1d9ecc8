import { Decoder, DecoderOptions } from 'iced-x86';
import { type ElfRelocation, R_X86_64 } from '../elf/index.js';
import type { InputSection } from './input-program.js';

/**
 * Read-only data without symbols (jump tables, initialiser images; all strings at -O0) often shares one .rodata.
 * What one reference means reaches from its target to the start of what the compiler put behind it. Only targets
 * of other references can be such starts.
 */
export class AnonymousPieces {
  readonly #starts = new Map<InputSection, number[]>();
  readonly #distances = new Map<InputSection, Map<number, number>>();

  /** The range of the section that starts where the relocation of `user` points to. */
  pieceAt(
    section: InputSection,
    user: InputSection,
    relocation: ElfRelocation,
  ): { start: number; end: number } {
    const start = this.targetOf(user, relocation);
    // A reference into the middle of a string is no start of another one: that follows the NUL of the one before it.
    const isStart = (candidate: number) => candidate > start && section.bytes[candidate - 1] === 0;
    const next = this.#startsIn(section).find(isStart);
    return { start, end: next ?? section.bytes.length };
  }

  /** Every place in the section that something refers to, ascending. */
  #startsIn(section: InputSection): number[] {
    let starts = this.#starts.get(section);
    if (starts === undefined) {
      const { elf, sections } = section.object;
      const found = new Set<number>();
      for (const user of sections) {
        for (const relocation of user.relocations) {
          if (elf.symbols[relocation.symbol]?.section !== section.header.index) continue;
          found.add(this.targetOf(user, relocation));
        }
      }
      starts = [...found].sort((a, b) => a - b);
      this.#starts.set(section, starts);
    }
    return starts;
  }

  /** False of a section that no other one refers to. */
  hasUsers(section: InputSection): boolean {
    return this.#startsIn(section).length > 0;
  }

  /**
   * The offset of what a relocation refers to, in its section. A PC-relative field counts from the end of its
   * instruction, which an immediate operand may separate from it.
   */
  targetOf(user: InputSection, { symbol, type, addend, offset }: ElfRelocation): number {
    const place = user.object.elf.symbols[symbol]!.value + addend;
    const isOperand = user.kind === 'code' && (type === R_X86_64.PC32 || type === R_X86_64.PLT32);
    return isOperand ? place + (this.#distancesIn(user).get(offset) ?? 4) : place;
  }

  /** From the offset of a 32-bit displacement to the distance between it and the end of its instruction. */
  #distancesIn(code: InputSection): Map<number, number> {
    let distances = this.#distances.get(code);
    if (distances === undefined) {
      distances = new Map();
      const decoder = new Decoder(64, code.bytes, DecoderOptions.None);
      while (decoder.canDecode) {
        const start = decoder.position;
        const instruction = decoder.decode();
        const fields = decoder.getConstantOffsets(instruction);
        if (fields.hasDisplacement) {
          distances.set(start + fields.displacementOffset, instruction.length - fields.displacementOffset);
        }
        fields.free();
        instruction.free();
      }
      decoder.free();
      this.#distances.set(code, distances);
    }
    return distances;
  }
}

/** Equal up to zeros that can only be alignment padding before the next piece. */
export function equalUpToPadding(a: Uint8Array, b: Uint8Array, alignment: number): boolean {
  const [short, long] = a.length <= b.length ? [a, b] : [b, a];
  const padding = long.subarray(short.length);
  return (
    padding.length < Math.max(1, alignment) &&
    Buffer.compare(short, long.subarray(0, short.length)) === 0 &&
    padding.every((byte) => byte === 0)
  );
}
