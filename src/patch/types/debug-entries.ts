import type { ElfBytes, ElfFile } from '../../elf/index.js';
import { DW_FORM, readLeb } from './attribute-forms.js';
import { type DebugSection, debugSections, type Place } from './debug-sections.js';

/**
 * Debugging information entries of a relocatable object (DWARF 2 to 5), as a tree with the attributes that say
 * what a type, a variable or a function is.
 */
export interface DebugEntry {
  tag: number;
  /** By attribute number; only those in `KEPT`. A reference to another entry is its offset. */
  attributes: Map<number, AttributeValue>;
  children: DebugEntry[];
  parent: DebugEntry | undefined;
}

/** An expression that is not an address stays as its bytes, in hexadecimal. */
export type AttributeValue = number | string | Place;

export const DW_TAG = {
  array_type: 0x01,
  class_type: 0x02,
  enumeration_type: 0x04,
  formal_parameter: 0x05,
  lexical_block: 0x0b,
  member: 0x0d,
  pointer_type: 0x0f,
  reference_type: 0x10,
  compile_unit: 0x11,
  structure_type: 0x13,
  subroutine_type: 0x15,
  typedef: 0x16,
  union_type: 0x17,
  inheritance: 0x1c,
  inlined_subroutine: 0x1d,
  ptr_to_member_type: 0x1f,
  subrange_type: 0x21,
  base_type: 0x24,
  const_type: 0x26,
  enumerator: 0x28,
  subprogram: 0x2e,
  variable: 0x34,
  volatile_type: 0x35,
  restrict_type: 0x37,
  namespace: 0x39,
  rvalue_reference_type: 0x42,
  atomic_type: 0x47,
} as const;

export const DW_AT = {
  location: 0x02,
  name: 0x03,
  byte_size: 0x0b,
  bit_offset: 0x0c,
  bit_size: 0x0d,
  low_pc: 0x11,
  language: 0x13,
  const_value: 0x1c,
  upper_bound: 0x2f,
  abstract_origin: 0x31,
  count: 0x37,
  data_member_location: 0x38,
  declaration: 0x3c,
  encoding: 0x3e,
  specification: 0x47,
  static_link: 0x48,
  type: 0x49,
  signature: 0x69,
  data_bit_offset: 0x6b,
  enum_class: 0x6d,
  linkage_name: 0x6e,
  dwo_name: 0x76,
  alignment: 0x88,
  MIPS_linkage_name: 0x2007,
  GNU_dwo_name: 0x2130,
} as const;

const KEPT = new Set<number>(Object.values(DW_AT));
const DW_OP = { addr: 0x03, const8u: 0x0e, plus_uconst: 0x23, addrx: 0xa1 } as const;
const DW_UT = { type: 0x02, skeleton: 0x04, split_compile: 0x05, split_type: 0x06 } as const;

interface Abbreviation {
  tag: number;
  hasChildren: boolean;
  attributes: { name: number; form: number; constant: number }[];
}

export interface DebugInformation {
  units: DebugEntry[];
  /** Every entry, by its offset. */
  byOffset: Map<number, DebugEntry>;
}

/** `undefined` without debugging information; also when the object file has only a reference to it (`.dwo`). */
export function readDebugEntries(elf: ElfFile): DebugInformation | undefined {
  const abbreviations = debugSections(elf, 'debug_abbrev')[0];
  const information = [...debugSections(elf, 'debug_info'), ...debugSections(elf, 'debug_types')];
  if (abbreviations === undefined || information.length === 0) return undefined;
  const tables: SharedTables = {
    abbreviations: abbreviations.bytes,
    strings: debugSections(elf, 'debug_str')[0]?.bytes,
    lineStrings: debugSections(elf, 'debug_line_str')[0]?.bytes,
    stringOffsets: debugSections(elf, 'debug_str_offsets')[0]?.bytes,
    addresses: debugSections(elf, 'debug_addr')[0],
    parsedAbbreviations: new Map(),
    signatures: new Map(),
    unresolved: [],
  };
  const result: DebugInformation = { units: [], byOffset: new Map() };
  for (const section of information) new EntryReader(section, tables, result).readAll();
  for (const { entry, attribute, signature } of tables.unresolved) {
    const target = tables.signatures.get(signature);
    if (target !== undefined) entry.attributes.set(attribute, target);
  }
  const isElsewhere = result.units.some(
    ({ attributes }) => attributes.has(DW_AT.dwo_name) || attributes.has(DW_AT.GNU_dwo_name),
  );
  return isElsewhere ? undefined : result;
}

/** What all sections with entries refer to. */
interface SharedTables {
  abbreviations: ElfBytes;
  strings: ElfBytes | undefined;
  lineStrings: ElfBytes | undefined;
  stringOffsets: ElfBytes | undefined;
  addresses: DebugSection | undefined;
  parsedAbbreviations: Map<number, Map<number, Abbreviation>>;
  /** Offsets of the types that have units of their own. */
  signatures: Map<string, number>;
  unresolved: { entry: DebugEntry; attribute: number; signature: string }[];
}

/** Reads one section. */
class EntryReader {
  readonly #info: ElfBytes;
  readonly #base: number;
  readonly #places: ReadonlyMap<number, Place>;
  readonly #tables: SharedTables;
  readonly #result: DebugInformation;
  #at = 0;
  #unitStart = 0;
  #version = 0;
  /** 8 in 64-bit DWARF. */
  #offsetSize = 4;
  /** False while an attribute is read that nobody asks for. */
  #isKept = false;

  constructor(section: DebugSection, tables: SharedTables, result: DebugInformation) {
    this.#info = section.bytes;
    this.#base = section.base;
    this.#places = section.places;
    this.#tables = tables;
    this.#result = result;
  }

  readAll(): void {
    while (this.#at < this.#info.bytes.length) this.#readUnit();
  }

  /** DWARF 5, section 7.5.1; the order of the fields was another one before. */
  #readUnit(): void {
    this.#unitStart = this.#at;
    this.#offsetSize = 4;
    let length = this.#fixed(4);
    if (length === 0xffffffff) {
      this.#offsetSize = 8;
      length = this.#fixed(8);
    }
    this.#info.check(this.#at, length, 'a unit');
    const end = this.#at + length;
    this.#version = this.#fixed(2);
    if (this.#version < 2 || this.#version > 5) {
      throw this.#info.bad(`debugging information of version ${this.#version}; compile with -gdwarf-5`);
    }
    let unitType = 0;
    if (this.#version === 5) {
      unitType = this.#fixed(1);
      this.#skip(1);
    }
    const abbreviations = this.#table(this.#fixed(this.#offsetSize));
    if (this.#version < 5) this.#skip(1);
    const isTypeUnit = unitType === DW_UT.type || unitType === DW_UT.split_type || this.#isTypesSection;
    if (isTypeUnit) {
      const signature = this.#signature();
      const typeOffset = this.#fixed(this.#offsetSize);
      this.#tables.signatures.set(signature, this.#base + this.#unitStart + typeOffset);
    } else if (unitType === DW_UT.skeleton || unitType === DW_UT.split_compile) {
      this.#skip(8);
    }
    this.#readTree(abbreviations, end);
    this.#at = end;
  }

  get #isTypesSection(): boolean {
    return this.#version < 5 && this.#info.fileName.endsWith('debug_types');
  }

  #readTree(abbreviations: ReadonlyMap<number, Abbreviation>, end: number): void {
    const parents: DebugEntry[] = [];
    while (this.#at < end) {
      const offset = this.#at;
      const code = this.#uleb();
      if (code === 0) {
        parents.pop();
        if (parents.length === 0) return;
        continue;
      }
      const abbreviation = abbreviations.get(code);
      if (abbreviation === undefined) throw this.#info.bad(`unknown abbreviation ${code}`);
      const parent = parents.at(-1);
      const entry: DebugEntry = { tag: abbreviation.tag, attributes: new Map(), children: [], parent };
      for (const { name, form, constant } of abbreviation.attributes) {
        this.#readAttribute(entry, name, form, constant);
      }
      this.#result.byOffset.set(this.#base + offset, entry);
      if (parent === undefined) this.#result.units.push(entry);
      else parent.children.push(entry);
      if (abbreviation.hasChildren) parents.push(entry);
      else if (parent === undefined) return;
    }
  }

  #readAttribute(entry: DebugEntry, name: number, form: number, constant: number): void {
    if (form === DW_FORM.ref_sig8) {
      const signature = this.#signature();
      if (KEPT.has(name)) this.#tables.unresolved.push({ entry, attribute: name, signature });
      return;
    }
    this.#isKept = KEPT.has(name);
    const value = this.#value(form, constant);
    if (value !== undefined && this.#isKept) entry.attributes.set(name, value);
  }

  #signature(): string {
    const bytes = this.#info.slice(this.#at, 8, 'a signature');
    this.#at += 8;
    return Buffer.from(bytes).toString('hex');
  }

  #table(offset: number): Map<number, Abbreviation> {
    let table = this.#tables.parsedAbbreviations.get(offset);
    if (table !== undefined) return table;
    table = new Map();
    this.#tables.parsedAbbreviations.set(offset, table);
    const bytes = this.#tables.abbreviations;
    let at = offset;
    const uleb = () => {
      const [value, next] = readLeb(bytes, at, false);
      at = next;
      return value;
    };
    for (let code = uleb(); code !== 0; code = uleb()) {
      const abbreviation: Abbreviation = { tag: uleb(), hasChildren: bytes.u8(at++) !== 0, attributes: [] };
      for (;;) {
        const name = uleb();
        const form = uleb();
        let constant = 0;
        if (form === DW_FORM.implicit_const) [constant, at] = readLeb(bytes, at, true);
        if (name === 0 && form === 0) break;
        abbreviation.attributes.push({ name, form, constant });
      }
      table.set(code, abbreviation);
    }
    return table;
  }

  #uleb(): number {
    const [value, next] = readLeb(this.#info, this.#at, false);
    this.#at = next;
    return value;
  }

  #fixed(width: number): number {
    const at = this.#at;
    this.#at += width;
    if (width === 1) return this.#info.u8(at);
    if (width === 2) return this.#info.u16(at);
    if (width === 3) return this.#info.u16(at) + this.#info.u8(at + 2) * 0x10000;
    return width === 4 ? this.#info.u32(at) : this.#info.u64(at);
  }

  #skip(length: number): undefined {
    this.#info.check(this.#at, length, 'an attribute');
    this.#at += length;
    return undefined;
  }

  /** Offsets of entries count from the start of their unit. */
  #reference(offset: number): number {
    return this.#base + this.#unitStart + offset;
  }

  #value(form: number, constant: number): AttributeValue | undefined {
    switch (form) {
      case DW_FORM.data1:
      case DW_FORM.flag:
        return this.#fixed(1);
      case DW_FORM.data2:
        return this.#fixed(2);
      case DW_FORM.data4:
        return this.#fixed(4);
      case DW_FORM.data8:
        return this.#fixed(8);
      case DW_FORM.sec_offset:
        return this.#fixed(this.#offsetSize);
      case DW_FORM.ref_addr:
        // An address in DWARF 2.
        return this.#base + this.#fixed(this.#version === 2 ? 8 : this.#offsetSize);
      case DW_FORM.ref1:
        return this.#reference(this.#fixed(1));
      case DW_FORM.ref2:
        return this.#reference(this.#fixed(2));
      case DW_FORM.ref4:
        return this.#reference(this.#fixed(4));
      case DW_FORM.ref8:
        return this.#reference(this.#fixed(8));
      case DW_FORM.ref_udata:
        return this.#reference(this.#uleb());
      case DW_FORM.udata:
      case DW_FORM.loclistx:
      case DW_FORM.rnglistx:
        return this.#uleb();
      case DW_FORM.sdata: {
        const [value, next] = readLeb(this.#info, this.#at, true);
        this.#at = next;
        return value;
      }
      case DW_FORM.implicit_const:
        return constant;
      case DW_FORM.flag_present:
        return 1;
      case DW_FORM.addr: {
        const place = this.#places.get(this.#at);
        this.#skip(8);
        return place;
      }
      case DW_FORM.data16:
        return this.#skip(16);
      case DW_FORM.block1:
        return this.#block(this.#fixed(1));
      case DW_FORM.block2:
        return this.#block(this.#fixed(2));
      case DW_FORM.block4:
        return this.#block(this.#fixed(4));
      case DW_FORM.block:
      case DW_FORM.exprloc:
        return this.#block(this.#uleb());
      case DW_FORM.indirect:
        return this.#value(this.#uleb(), 0);
      case DW_FORM.addrx:
        return this.#indexedAddress(this.#uleb());
      default:
        if (form >= DW_FORM.addrx1 && form <= DW_FORM.addrx4) {
          return this.#indexedAddress(this.#fixed(form - DW_FORM.addrx1 + 1));
        }
        return this.#text(form);
    }
  }

  #text(form: number): string | undefined {
    const { strings, lineStrings } = this.#tables;
    if (form === DW_FORM.string) {
      const text = this.#info.string(this.#at, this.#info.bytes.length);
      this.#at = this.#info.bytes.indexOf(0, this.#at) + 1;
      return text;
    }
    if (form === DW_FORM.strp) return this.#string(strings, this.#fixed(this.#offsetSize));
    if (form === DW_FORM.line_strp) return this.#string(lineStrings, this.#fixed(this.#offsetSize));
    if (form === DW_FORM.strx) return this.#indexedString(this.#uleb());
    if (form >= DW_FORM.strx1 && form <= DW_FORM.strx4) {
      return this.#indexedString(this.#fixed(form - DW_FORM.strx1 + 1));
    }
    throw this.#info.bad(`unknown attribute form ${form}`);
  }

  /** An address, an offset in a structure, or anything else that takes an expression. */
  #block(length: number): AttributeValue | undefined {
    const start = this.#at;
    this.#skip(length);
    if (length === 0 || !this.#isKept) return undefined;
    const operation = this.#info.u8(start);
    if (operation === DW_OP.addr || operation === DW_OP.const8u) {
      const place = this.#places.get(start + 1);
      if (place !== undefined) return place;
    }
    if (operation === DW_OP.addrx) return this.#indexedAddress(readLeb(this.#info, start + 1, false)[0]);
    if (operation === DW_OP.plus_uconst) {
      const [value, next] = readLeb(this.#info, start + 1, false);
      if (next === start + length) return value;
    }
    return Buffer.from(this.#info.bytes.subarray(start, start + length)).toString('hex');
  }

  /** An object file has one table of each kind, behind its header (DWARF 5, sections 7.26 and 7.27). */
  get #headerSize(): number {
    return this.#offsetSize === 8 ? 16 : 8;
  }

  #indexedAddress(index: number): Place | undefined {
    return this.#tables.addresses?.places.get(this.#headerSize + 8 * index);
  }

  #indexedString(index: number): string | undefined {
    const table = this.#tables.stringOffsets;
    if (table === undefined) return undefined;
    const at = this.#headerSize + this.#offsetSize * index;
    return this.#string(this.#tables.strings, this.#offsetSize === 8 ? table.u64(at) : table.u32(at));
  }

  #string(table: ElfBytes | undefined, offset: number): string | undefined {
    if (!this.#isKept) return undefined;
    return table?.string(offset, table.bytes.length);
  }
}
