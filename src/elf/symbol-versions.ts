import { SHT } from './constants.js';
import type { ElfBytes } from './elf-bytes.js';
import type { ElfSection } from './elf-file.js';
import { StringTable } from './string-table.js';

/** Which version of its name a dynamic symbol is (System V gABI supplement "Symbol Versioning", U. Drepper). */
export interface SymbolVersion {
  /** Empty for a symbol of the base version, or without one. */
  name: string;
  /** False for what only programs linked long ago ask for (`name@V` and not `name@@V`). */
  isDefault: boolean;
}

const HIDDEN = 0x8000;
/** 0 is local, 1 global without a version. */
const FIRST_VERSION = 2;

/** The versions of all dynamic symbols, by symbol index; undefined for a file that has none. */
export function readSymbolVersions(
  bytes: ElfBytes,
  sections: readonly ElfSection[],
): SymbolVersion[] | undefined {
  const table = sections.find(({ type }) => type === SHT.GNU_VERSYM);
  if (table === undefined) return undefined;
  const names = new Map<number, string>();
  for (const section of sections) {
    if (section.type === SHT.GNU_VERDEF)
      readDefinitions(bytes, section, stringsOf(bytes, sections, section), names);
    if (section.type === SHT.GNU_VERNEED)
      readNeeds(bytes, section, stringsOf(bytes, sections, section), names);
  }
  const versions: SymbolVersion[] = [];
  for (let at = table.offset; at + 2 <= table.offset + table.size; at += 2) {
    const value = bytes.u16(at);
    const index = value & ~HIDDEN;
    const name = index < FIRST_VERSION ? '' : (names.get(index) ?? '');
    versions.push({ name, isDefault: (value & HIDDEN) === 0 });
  }
  return versions;
}

function stringsOf(bytes: ElfBytes, sections: readonly ElfSection[], section: ElfSection): StringTable {
  const strings = sections[section.link];
  if (strings?.type !== SHT.STRTAB) throw bytes.bad('symbol versions have no names');
  return new StringTable(bytes, strings.offset, strings.size);
}

/** Elf64_Verdef: version, flags, index (u16 each), count (u16), hash, auxiliary, next (u32 each). */
function readDefinitions(
  bytes: ElfBytes,
  section: ElfSection,
  strings: StringTable,
  names: Map<number, string>,
): void {
  eachEntry(section, (at) => {
    const auxiliary = at + bytes.u32(at + 12);
    names.set(bytes.u16(at + 4), strings.at(bytes.u32(auxiliary)));
    return bytes.u32(at + 16);
  });
}

/** Elf64_Verneed: version, count (u16 each), file, auxiliary, next (u32 each); of its Vernaux: hash, flags, index, name, next. */
function readNeeds(
  bytes: ElfBytes,
  section: ElfSection,
  strings: StringTable,
  names: Map<number, string>,
): void {
  eachEntry(section, (at) => {
    let auxiliary = at + bytes.u32(at + 8);
    for (let left = bytes.u16(at + 2); left > 0; left--) {
      names.set(bytes.u16(auxiliary + 6) & ~HIDDEN, strings.at(bytes.u32(auxiliary + 8)));
      const next = bytes.u32(auxiliary + 12);
      if (next === 0) break;
      auxiliary += next;
    }
    return bytes.u32(at + 12);
  });
}

/** Walks a list whose entries say how far away the next one is. It leads forwards, so it ends. */
function eachEntry(section: ElfSection, read: (at: number) => number): void {
  const end = section.offset + section.size;
  for (let at = section.offset; at < end; ) {
    const next = read(at);
    if (next === 0) return;
    at += next;
  }
}
