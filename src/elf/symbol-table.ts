import { SHN, SHT, STB, STT, SYMBOL_SIZE } from './constants.js';
import type { ElfBytes } from './elf-bytes.js';
import type { ElfSection } from './elf-file.js';
import { StringTable } from './string-table.js';

export interface ElfSymbol {
  index: number;
  name: string;
  value: number;
  size: number;
  type: number;
  binding: number;
  visibility: number;
  /** Section index; `SHN.UNDEF`, `SHN.ABS` and `SHN.COMMON` as in the format (see `isDefined`). */
  section: number;
}

/** True when the symbol lies in one of the file's own sections. */
export function isDefined(symbol: ElfSymbol): boolean {
  return symbol.section !== SHN.UNDEF && symbol.section !== SHN.ABS && symbol.section !== SHN.COMMON;
}

/** True for what other files of the program can refer to by name. */
export function isGlobal(symbol: ElfSymbol): boolean {
  return symbol.binding === STB.GLOBAL || symbol.binding === STB.WEAK || symbol.binding === STB.GNU_UNIQUE;
}

/**
 * The name without its version: the static symbol table of a linked program spells the symbols of shared
 * libraries `stderr@GLIBC_2.2.5`.
 */
function unversioned(name: string): string {
  const at = name.indexOf('@');
  return at > 0 ? name.slice(0, at) : name;
}

/** One symbol table, decoded on first use: a large server has 100 000 symbols and most readers need none. */
export class SymbolTable {
  readonly #bytes: ElfBytes;
  readonly #section: ElfSection;
  readonly #sections: readonly ElfSection[];
  #symbols: ElfSymbol[] | undefined;
  #byName: Map<string, ElfSymbol[]> | undefined;

  constructor(bytes: ElfBytes, section: ElfSection, sections: readonly ElfSection[]) {
    this.#bytes = bytes;
    this.#section = section;
    this.#sections = sections;
  }

  get symbols(): readonly ElfSymbol[] {
    this.#symbols ??= this.#decode();
    return this.#symbols;
  }

  /** All symbols of that name, in the table's order; versions of shared libraries' symbols are ignored. */
  named(name: string): readonly ElfSymbol[] {
    if (this.#byName === undefined) {
      this.#byName = new Map();
      for (const symbol of this.symbols) {
        if (symbol.name === '') continue;
        const key = unversioned(symbol.name);
        const others = this.#byName.get(key);
        if (others === undefined) this.#byName.set(key, [symbol]);
        else others.push(symbol);
      }
    }
    return this.#byName.get(name) ?? [];
  }

  #decode(): ElfSymbol[] {
    const table = this.#section;
    const strings = this.#sections[table.link];
    if (strings?.type !== SHT.STRTAB) throw this.#bytes.bad('a symbol table has no string table');
    if (table.size % SYMBOL_SIZE !== 0) throw this.#bytes.bad('the symbol table is cut off');
    const wideIndices = this.#sections.find(
      (section) => section.type === SHT.SYMTAB_SHNDX && section.link === table.index,
    );
    const symbols: ElfSymbol[] = [];
    const names = new StringTable(this.#bytes, strings.offset, strings.size);
    for (let index = 0; index < table.size / SYMBOL_SIZE; index++) {
      const at = table.offset + index * SYMBOL_SIZE;
      const nameOffset = this.#bytes.u32(at);
      const info = this.#bytes.u8(at + 4);
      const symbol: ElfSymbol = {
        index,
        name: nameOffset === 0 ? '' : names.at(nameOffset),
        value: this.#bytes.u64(at + 8),
        size: this.#bytes.u64(at + 16),
        type: info & 0xf,
        binding: info >> 4,
        visibility: this.#bytes.u8(at + 5) & 3,
        section: this.#bytes.u16(at + 6),
      };
      if (symbol.section === SHN.XINDEX) {
        if (wideIndices === undefined) throw this.#bytes.bad(`symbol ${index} has no section index`);
        this.#bytes.check(wideIndices.offset, (index + 1) * 4, 'a section index');
        symbol.section = this.#bytes.u32(wideIndices.offset + index * 4);
      }
      if (isDefined(symbol) && symbol.section >= this.#sections.length) {
        throw this.#bytes.bad(`symbol ${symbol.name || index} lies in a section that does not exist`);
      }
      if (symbol.type === STT.SECTION && symbol.name === '') {
        symbol.name = this.#sections[symbol.section]?.name ?? '';
      }
      symbols.push(symbol);
    }
    return symbols;
  }
}
