import {
  DT,
  ELF_HEADER_SIZE,
  EM_X86_64,
  NT_GNU_BUILD_ID,
  PROGRAM_HEADER_SIZE,
  PT,
  RELA_SIZE,
  SECTION_HEADER_SIZE,
  SHF,
  SHN,
  SHT,
  STT,
} from './constants.js';
import { decompress, decompressOld } from './compressed-section.js';
import { ElfBytes } from './elf-bytes.js';
import { StringTable } from './string-table.js';
import { type ElfNote, readNotes } from './notes.js';
import { type ElfSymbol, isDefined, isGlobal, SymbolTable } from './symbol-table.js';
import { readSymbolVersions, type SymbolVersion } from './symbol-versions.js';

export interface ElfSection {
  index: number;
  name: string;
  type: number;
  /** The low 32 bits of `sh_flags`; the format defines no flag above them. */
  flags: number;
  address: number;
  offset: number;
  size: number;
  link: number;
  info: number;
  alignment: number;
  entrySize: number;
}

export interface ElfSegment {
  type: number;
  flags: number;
  offset: number;
  address: number;
  fileSize: number;
  memorySize: number;
  alignment: number;
}

export interface ElfRelocation {
  offset: number;
  type: number;
  /** Index into the symbol table that the relocation section is linked to. */
  symbol: number;
  addend: number;
}

/**
 * An x86-64 ELF file. Headers are checked when it is read; symbols, relocations and notes on first use.
 * Every reading method may throw `AtlasError('bad-input')` and nothing else.
 */
export class ElfFile {
  readonly type: number;
  readonly entry: number;
  readonly sections: readonly ElfSection[];
  readonly segments: readonly ElfSegment[];
  readonly #bytes: ElfBytes;
  readonly #symbolTable: SymbolTable | undefined;
  readonly #dynamicTable: SymbolTable | undefined;
  #relocationSections: Map<number, ElfSection[]> | undefined;
  #notes: ElfNote[] | undefined;
  #versions: { list: SymbolVersion[] | undefined } | undefined;

  constructor(bytes: Uint8Array, fileName: string) {
    this.#bytes = new ElfBytes(bytes, fileName);
    this.#checkIdentification();
    this.type = this.#bytes.u16(16);
    this.entry = this.#bytes.u64(24);
    this.sections = this.#readSections();
    this.segments = this.#readSegments();
    this.#symbolTable = this.#table(SHT.SYMTAB);
    this.#dynamicTable = this.#table(SHT.DYNSYM);
  }

  get fileName(): string {
    return this.#bytes.fileName;
  }

  /** Of the file, in bytes. */
  get size(): number {
    return this.#bytes.bytes.length;
  }

  /** The symbols of .symtab; empty for a stripped file. */
  get symbols(): readonly ElfSymbol[] {
    return this.#symbolTable?.symbols ?? [];
  }

  get dynamicSymbols(): readonly ElfSymbol[] {
    return this.#dynamicTable?.symbols ?? [];
  }

  /** The symbols of that name in .dynsym. */
  dynamicSymbolsNamed(name: string): readonly ElfSymbol[] {
    return this.#dynamicTable?.named(name) ?? [];
  }

  /** Of a dynamic symbol; undefined in a file without versions. */
  versionOf(symbol: ElfSymbol): SymbolVersion | undefined {
    this.#versions ??= { list: readSymbolVersions(this.#bytes, this.sections) };
    return this.#versions.list?.[symbol.index];
  }

  /** The names of the shared libraries that the file was linked with. */
  get neededLibraries(): string[] {
    const section = this.sections.find(({ type }) => type === SHT.DYNAMIC);
    const strings = section && this.sections[section.link];
    if (section === undefined || strings === undefined) return [];
    const names: string[] = [];
    for (let at = section.offset; at + 16 <= section.offset + section.size; at += 16) {
      if (this.#bytes.u64(at) !== DT.NEEDED) continue;
      names.push(this.#bytes.string(strings.offset + this.#bytes.u64(at + 8), strings.offset + strings.size));
    }
    return names;
  }

  get hasSymbolTable(): boolean {
    return this.#symbolTable !== undefined;
  }

  /** The symbols of that name in .symtab, or in .dynsym if .symtab has none. */
  symbolsNamed(name: string): readonly ElfSymbol[] {
    const symbols = this.#symbolTable?.named(name) ?? [];
    return symbols.length > 0 ? symbols : (this.#dynamicTable?.named(name) ?? []);
  }

  /**
   * The link-time address (load bias not included) of a function or variable of this file. A global symbol wins
   * over local ones; of several local symbols with that name none is returned.
   */
  symbolAddress(name: string): number | undefined {
    const defined = this.symbolsNamed(name).filter(
      (symbol) => isDefined(symbol) && symbol.type !== STT.FILE && symbol.type !== STT.TLS,
    );
    const symbol = defined.find(isGlobal) ?? (defined.length === 1 ? defined[0] : undefined);
    return symbol?.value;
  }

  section(name: string): ElfSection | undefined {
    return this.sections.find((section) => section.name === name);
  }

  /** A view (not a copy) of the section's content; empty for .bss and its like. */
  sectionBytes(section: ElfSection): Uint8Array {
    if (section.type === SHT.NOBITS) return new Uint8Array(0);
    return this.#bytes.slice(section.offset, section.size, `section ${section.name}`);
  }

  /** The section's content, decompressed where the compiler or linker compressed it (debugging information). */
  plainBytes(section: ElfSection): Uint8Array {
    const bytes = this.sectionBytes(section);
    const content = () => new ElfBytes(bytes, this.fileName);
    if (section.flags & SHF.COMPRESSED) return decompress(content(), section.name);
    return section.name.startsWith('.zdebug_') ? decompressOld(content(), section.name) : bytes;
  }

  /** The relocations that apply to a section of a relocatable file, by ascending offset. */
  relocationsOf(section: ElfSection): ElfRelocation[] {
    if (this.#relocationSections === undefined) {
      this.#relocationSections = new Map();
      for (const candidate of this.sections) {
        if (candidate.type === SHT.REL) throw this.#bytes.bad(`${candidate.name} has no addends`);
        if (candidate.type !== SHT.RELA) continue;
        const others = this.#relocationSections.get(candidate.info);
        if (others === undefined) this.#relocationSections.set(candidate.info, [candidate]);
        else others.push(candidate);
      }
    }
    const found = this.#relocationSections.get(section.index) ?? [];
    const relocations = found.flatMap((table) => this.relocationsIn(table));
    if (
      relocations.some(({ offset, addend }) => !Number.isSafeInteger(offset) || !Number.isSafeInteger(addend))
    ) {
      throw this.#bytes.bad(`a relocation of ${section.name} has an impossible offset or addend`);
    }
    return relocations.sort((a, b) => a.offset - b.offset);
  }

  /** The entries of one SHT_RELA section. */
  relocationsIn(table: ElfSection): ElfRelocation[] {
    if (table.size % RELA_SIZE !== 0) throw this.#bytes.bad(`${table.name} is cut off`);
    const symbols = this.sections[table.link]?.type === SHT.DYNSYM ? this.dynamicSymbols : this.symbols;
    const relocations: ElfRelocation[] = [];
    for (let at = table.offset; at < table.offset + table.size; at += RELA_SIZE) {
      const relocation: ElfRelocation = {
        offset: this.#bytes.u64(at),
        type: this.#bytes.u32(at + 8),
        symbol: this.#bytes.u32(at + 12),
        addend: this.#bytes.i64(at + 16),
      };
      // A static program's .rela.plt names no symbol table at all; its entries all name symbol 0.
      if (relocation.symbol !== 0 && relocation.symbol >= symbols.length) {
        throw this.#bytes.bad(`${table.name} names a symbol that does not exist`);
      }
      relocations.push(relocation);
    }
    return relocations;
  }

  get notes(): readonly ElfNote[] {
    if (this.#notes === undefined) {
      const inSections = this.sections.filter((section) => section.type === SHT.NOTE);
      const inSegments = this.segments.filter((segment) => segment.type === PT.NOTE);
      const ranges =
        inSections.length > 0
          ? inSections.map((section) => [section.offset, section.size, section.alignment] as const)
          : inSegments.map((segment) => [segment.offset, segment.fileSize, segment.alignment] as const);
      this.#notes = ranges.flatMap(([offset, size, alignment]) =>
        readNotes(this.#bytes, offset, size, alignment),
      );
    }
    return this.#notes;
  }

  /** Lower-case hexadecimal digits of the GNU build-id. */
  get buildId(): string | undefined {
    const note = this.notes.find(({ owner, type }) => owner === 'GNU' && type === NT_GNU_BUILD_ID);
    return note && Buffer.from(note.descriptor).toString('hex');
  }

  /** What a load segment holds at a link-time address; undefined outside of the file's segments. */
  bytesAt(address: number, length: number): Uint8Array | undefined {
    const segment = this.segments.find(
      (candidate) =>
        candidate.type === PT.LOAD &&
        address >= candidate.address &&
        address + length <= candidate.address + candidate.fileSize,
    );
    return segment && this.#bytes.slice(segment.offset + address - segment.address, length, 'a segment');
  }

  #checkIdentification(): void {
    const bytes = this.#bytes;
    if (bytes.bytes.length < ELF_HEADER_SIZE || bytes.u32(0) !== 0x464c457f)
      throw bytes.bad('not an ELF file');
    if (bytes.u8(4) !== 2 || bytes.u8(5) !== 1) throw bytes.bad('not a 64-bit little-endian ELF file');
    if (bytes.u16(18) !== EM_X86_64) throw bytes.bad('made for another machine than x86-64');
  }

  #readSections(): ElfSection[] {
    const bytes = this.#bytes;
    const tableOffset = bytes.u64(40);
    if (tableOffset === 0) return [];
    if (bytes.u16(58) !== SECTION_HEADER_SIZE) throw bytes.bad('section headers of a strange size');
    // More than 0xff00 sections (-ffunction-sections on a large file): the real numbers stand in header 0.
    const count = bytes.u16(60) || bytes.u64(tableOffset + 32);
    let namesIndex = bytes.u16(62);
    if (namesIndex === SHN.XINDEX) namesIndex = bytes.u32(tableOffset + 40);
    bytes.check(tableOffset, count * SECTION_HEADER_SIZE, 'the section header table');

    const sections: ElfSection[] = [];
    const nameOffsets: number[] = [];
    for (let index = 0; index < count; index++) {
      const at = tableOffset + index * SECTION_HEADER_SIZE;
      nameOffsets.push(bytes.u32(at));
      const section: ElfSection = {
        index,
        name: '',
        type: bytes.u32(at + 4),
        flags: bytes.u32(at + 8),
        address: bytes.u64(at + 16),
        offset: bytes.u64(at + 24),
        size: bytes.u64(at + 32),
        link: bytes.u32(at + 40),
        info: bytes.u32(at + 44),
        alignment: bytes.u64(at + 48),
        entrySize: bytes.u64(at + 56),
      };
      if (section.type !== SHT.NOBITS && section.type !== SHT.NULL) {
        bytes.check(section.offset, section.size, `section ${index}`);
      }
      sections.push(section);
    }
    const names = sections[namesIndex];
    if (names === undefined || names.type !== SHT.STRTAB) throw bytes.bad('sections have no names');
    const strings = new StringTable(bytes, names.offset, names.size);
    for (const section of sections) section.name = strings.at(nameOffsets[section.index]!);
    return sections;
  }

  #readSegments(): ElfSegment[] {
    const bytes = this.#bytes;
    const tableOffset = bytes.u64(32);
    const count = bytes.u16(56);
    if (tableOffset === 0 || count === 0) return [];
    if (bytes.u16(54) !== PROGRAM_HEADER_SIZE) throw bytes.bad('program headers of a strange size');
    bytes.check(tableOffset, count * PROGRAM_HEADER_SIZE, 'the program header table');
    const segments: ElfSegment[] = [];
    for (let index = 0; index < count; index++) {
      const at = tableOffset + index * PROGRAM_HEADER_SIZE;
      const segment: ElfSegment = {
        type: bytes.u32(at),
        flags: bytes.u32(at + 4),
        offset: bytes.u64(at + 8),
        address: bytes.u64(at + 16),
        fileSize: bytes.u64(at + 32),
        memorySize: bytes.u64(at + 40),
        alignment: bytes.u64(at + 48),
      };
      bytes.check(segment.offset, segment.fileSize, `segment ${index}`);
      segments.push(segment);
    }
    return segments;
  }

  #table(type: number): SymbolTable | undefined {
    const section = this.sections.find((candidate) => candidate.type === type);
    return section && new SymbolTable(this.#bytes, section, this.sections);
  }
}

/** Reads any x86-64 ELF file. The bytes are kept, not copied. */
export function readElf(bytes: Uint8Array, fileName: string): ElfFile {
  return new ElfFile(bytes, fileName);
}
