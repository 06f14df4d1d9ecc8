import { type ElfFile, ElfBytes, type ElfSection, isDefined, isGlobal, R_X86_64 } from '../../elf/index.js';

/** Where a relocated field points to: a place in a section of the object file, or a symbol of another one. */
export interface Place {
  /** Undefined for what another file defines, and for common symbols. */
  section: number | undefined;
  offset: number;
  /** Of a global symbol. */
  symbol: string | undefined;
}

/** A debug section, decompressed, with its relocations to other debug sections applied. */
export interface DebugSection {
  bytes: ElfBytes;
  /** By offset in `bytes`, what fields with the address of code or data refer to. */
  places: ReadonlyMap<number, Place>;
  /** Added to offsets in the section, so that they are unique among several sections of one name. */
  base: number;
}

/** Offsets in a section are below it. */
const BASE_STEP = 2 ** 40;

/** The sections of that name: several when types have units, and COMDAT groups, of their own. */
export function debugSections(elf: ElfFile, name: string): DebugSection[] {
  return elf.sections
    .filter((section) => section.name === `.${name}` || section.name === `.z${name}`)
    .map((section) => readSection(elf, section));
}

function readSection(elf: ElfFile, section: ElfSection): DebugSection {
  const bytes = Buffer.from(elf.plainBytes(section));
  const places = new Map<number, Place>();
  for (const { offset, type, symbol: index, addend } of elf.relocationsOf(section)) {
    const width = type === R_X86_64[32] ? 4 : 8;
    if (offset + width > bytes.length) continue;
    const symbol = elf.symbols[index]!;
    const value = symbol.value + addend;
    places.set(offset, {
      section: isDefined(symbol) ? symbol.section : undefined,
      offset: isDefined(symbol) ? value : addend,
      symbol: isGlobal(symbol) ? symbol.name : undefined,
    });
    if (type === R_X86_64[32]) bytes.writeUInt32LE(value >>> 0, offset);
    else if (type === R_X86_64[64] && value >= 0) bytes.writeBigUInt64LE(BigInt(value), offset);
  }
  return {
    bytes: new ElfBytes(bytes, `${elf.fileName}: ${section.name}`),
    places,
    base: section.index * BASE_STEP,
  };
}
