import { AtlasError } from '../errors/atlas-error.js';
import {
  ELF_HEADER_SIZE,
  EM_X86_64,
  ET,
  RELA_SIZE,
  SECTION_HEADER_SIZE,
  SHF,
  SHN,
  SHT,
  STB,
  STT,
  SYMBOL_SIZE,
} from './constants.js';
import { alignUp } from './elf-bytes.js';

export interface SectionDraft {
  name: string;
  type: number;
  flags: number;
  alignment: number;
  entrySize: number;
  bytes: Uint8Array;
  /** Differs from `bytes.length` only for `SHT.NOBITS`. */
  size: number;
  relocations: RelocationDraft[];
}

export interface SymbolDraft {
  name: string;
  value: number;
  size: number;
  type: number;
  binding: number;
  /** A draft of this file, or `SHN.UNDEF` or `SHN.ABS`. */
  section: SectionDraft | typeof SHN.UNDEF | typeof SHN.ABS;
}

export interface RelocationDraft {
  offset: number;
  type: number;
  symbol: SymbolDraft;
  addend: number;
}

/** A string table under construction; equal strings share one entry. */
class StringPool {
  readonly #offsets = new Map<string, number>([['', 0]]);
  readonly #parts: Buffer[] = [Buffer.alloc(1)];
  #size = 1;

  offset(text: string): number {
    let offset = this.#offsets.get(text);
    if (offset === undefined) {
      offset = this.#size;
      const part = Buffer.from(`${text}\0`, 'utf8');
      this.#parts.push(part);
      this.#size += part.length;
      this.#offsets.set(text, offset);
    }
    return offset;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

interface PlacedSection {
  draft: Omit<SectionDraft, 'relocations'>;
  link: number;
  info: number;
}

/**
 * Composes an ELF64 relocatable object. Section symbols are made by the writer: a relocation to a section
 * names the symbol that `sectionSymbol` returns.
 */
export class RelocatableWriter {
  readonly #sections: SectionDraft[] = [];
  readonly #symbols: SymbolDraft[] = [];
  readonly #sectionSymbols = new Map<SectionDraft, SymbolDraft>();

  section(draft: Omit<SectionDraft, 'relocations'>): SectionDraft {
    const section = { ...draft, relocations: [] };
    this.#sections.push(section);
    return section;
  }

  symbol(draft: SymbolDraft): SymbolDraft {
    this.#symbols.push(draft);
    return draft;
  }

  sectionSymbol(section: SectionDraft): SymbolDraft {
    let symbol = this.#sectionSymbols.get(section);
    if (symbol === undefined) {
      symbol = { name: '', value: 0, size: 0, type: STT.SECTION, binding: STB.LOCAL, section };
      this.#sectionSymbols.set(section, symbol);
      this.#symbols.push(symbol);
    }
    return symbol;
  }

  bytes(): Uint8Array {
    // The gABI wants all local symbols before the first other one.
    const isLocal = (symbol: SymbolDraft) => symbol.binding === STB.LOCAL;
    const symbols = [...this.#symbols.filter(isLocal), ...this.#symbols.filter((symbol) => !isLocal(symbol))];
    const firstGlobal = 1 + symbols.filter(isLocal).length;
    const symbolIndex = new Map(symbols.map((symbol, index) => [symbol, index + 1]));
    const sectionIndex = new Map(this.#sections.map((section, index) => [section, index + 1]));

    const placed: PlacedSection[] = this.#sections.map((draft) => ({ draft, link: 0, info: 0 }));
    const relocated = this.#sections.filter((section) => section.relocations.length > 0);
    const symbolTableIndex = 1 + placed.length + relocated.length;
    for (const section of relocated) {
      placed.push({
        draft: table(
          `.rela${section.name}`,
          SHT.RELA,
          SHF.INFO_LINK,
          RELA_SIZE,
          relaBytes(section, symbolIndex),
        ),
        link: symbolTableIndex,
        info: sectionIndex.get(section)!,
      });
    }
    const strings = new StringPool();
    placed.push({
      draft: table('.symtab', SHT.SYMTAB, 0, SYMBOL_SIZE, symbolBytes(symbols, sectionIndex, strings)),
      link: symbolTableIndex + 1,
      info: firstGlobal,
    });
    placed.push({ draft: table('.strtab', SHT.STRTAB, 0, 0, strings.bytes()), link: 0, info: 0 });
    return assemble(placed);
  }
}

function table(
  name: string,
  type: number,
  flags: number,
  entrySize: number,
  bytes: Uint8Array,
): Omit<SectionDraft, 'relocations'> {
  return { name, type, flags, alignment: type === SHT.STRTAB ? 1 : 8, entrySize, bytes, size: bytes.length };
}

function relaBytes(section: SectionDraft, symbolIndex: ReadonlyMap<SymbolDraft, number>): Buffer {
  const bytes = Buffer.alloc(section.relocations.length * RELA_SIZE);
  section.relocations.forEach((relocation, index) => {
    const at = index * RELA_SIZE;
    bytes.writeBigUInt64LE(BigInt(relocation.offset), at);
    bytes.writeUInt32LE(relocation.type, at + 8);
    bytes.writeUInt32LE(symbolIndex.get(relocation.symbol)!, at + 12);
    bytes.writeBigInt64LE(BigInt(relocation.addend), at + 16);
  });
  return bytes;
}

function symbolBytes(
  symbols: readonly SymbolDraft[],
  sectionIndex: ReadonlyMap<SectionDraft, number>,
  strings: StringPool,
): Buffer {
  const bytes = Buffer.alloc((symbols.length + 1) * SYMBOL_SIZE);
  symbols.forEach((symbol, index) => {
    const at = (index + 1) * SYMBOL_SIZE;
    const section = typeof symbol.section === 'number' ? symbol.section : sectionIndex.get(symbol.section)!;
    bytes.writeUInt32LE(strings.offset(symbol.name), at);
    bytes.writeUInt8((symbol.binding << 4) | symbol.type, at + 4);
    bytes.writeUInt16LE(section, at + 6);
    bytes.writeBigUInt64LE(BigInt(symbol.value), at + 8);
    bytes.writeBigUInt64LE(BigInt(symbol.size), at + 16);
  });
  return bytes;
}

function assemble(placed: PlacedSection[]): Uint8Array {
  const names = new StringPool();
  for (const { draft } of placed) names.offset(draft.name);
  names.offset('.shstrtab');
  placed.push({ draft: table('.shstrtab', SHT.STRTAB, 0, 0, names.bytes()), link: 0, info: 0 });

  const count = placed.length + 1;
  if (count >= SHN.LORESERVE) {
    throw new AtlasError(
      'refused',
      `${count} sections do not fit in one object file`,
      'Change less at a time.',
    );
  }
  let end = ELF_HEADER_SIZE;
  const offsets = placed.map(({ draft }) => {
    const offset = alignUp(end, draft.alignment);
    end = offset + draft.bytes.length;
    return offset;
  });
  const headersAt = alignUp(end, 8);
  const file = Buffer.alloc(headersAt + count * SECTION_HEADER_SIZE);
  writeHeader(file, headersAt, count);
  placed.forEach(({ draft, link, info }, index) => {
    file.set(draft.bytes, offsets[index]!);
    const at = headersAt + (index + 1) * SECTION_HEADER_SIZE;
    file.writeUInt32LE(names.offset(draft.name), at);
    file.writeUInt32LE(draft.type, at + 4);
    file.writeUInt32LE(draft.flags, at + 8);
    file.writeBigUInt64LE(BigInt(offsets[index]!), at + 24);
    file.writeBigUInt64LE(BigInt(draft.size), at + 32);
    file.writeUInt32LE(link, at + 40);
    file.writeUInt32LE(info, at + 44);
    file.writeBigUInt64LE(BigInt(draft.alignment), at + 48);
    file.writeBigUInt64LE(BigInt(draft.entrySize), at + 56);
  });
  return file;
}

function writeHeader(file: Buffer, sectionHeadersAt: number, sectionCount: number): void {
  const class64LittleEndianVersion1 = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1];
  file.set(class64LittleEndianVersion1, 0);
  file.writeUInt16LE(ET.REL, 16);
  file.writeUInt16LE(EM_X86_64, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BigInt(sectionHeadersAt), 40);
  file.writeUInt16LE(ELF_HEADER_SIZE, 52);
  file.writeUInt16LE(SECTION_HEADER_SIZE, 58);
  file.writeUInt16LE(sectionCount, 60);
  file.writeUInt16LE(sectionCount - 1, 62);
}
