import { type ElfFile, ElfBytes, R_X86_64 } from '../elf/index.js';

/**
 * Debugging information entries (DWARF 5, section 7.5, and DWARF 4) of a relocatable object, as a tree with the
 * few attributes that describe the layout of types.
 */
export interface DebugEntry {
  tag: number;
  /** By attribute number; only those in `KEPT`. References to other entries are offsets in .debug_info. */
  attributes: Map<number, number | string>;
  children: DebugEntry[];
}

export const DW_TAG = {
  array_type: 0x01,
  class_type: 0x02,
  enumeration_type: 0x04,
  member: 0x0d,
  pointer_type: 0x0f,
  reference_type: 0x10,
  compile_unit: 0x11,
  structure_type: 0x13,
  subroutine_type: 0x15,
  typedef: 0x16,
  union_type: 0x17,
  inheritance: 0x1c,
  ptr_to_member_type: 0x1f,
  subrange_type: 0x21,
  base_type: 0x24,
  const_type: 0x26,
  volatile_type: 0x35,
  restrict_type: 0x37,
  namespace: 0x39,
  rvalue_reference_type: 0x42,
  atomic_type: 0x47,
} as const;

export const DW_AT = {
  name: 0x03,
  byte_size: 0x0b,
  bit_size: 0x0d,
  upper_bound: 0x2f,
  count: 0x37,
  data_member_location: 0x38,
  declaration: 0x3c,
  encoding: 0x3e,
  type: 0x49,
  data_bit_offset: 0x6b,
} as const;

const KEPT = new Set<number>(Object.values(DW_AT));
const DW_UT_TYPE = 0x02;
const DW_UT_SPLIT_TYPE = 0x06;
const SHF_COMPRESSED = 0x800;

interface Abbreviation {
  tag: number;
  hasChildren: boolean;
  attributes: { name: number; form: number; constant: number }[];
}

export interface DebugInformation {
  units: DebugEntry[];
  /** Every entry, by its offset in .debug_info. */
  byOffset: Map<number, DebugEntry>;
}

/** `undefined` without debug information, or when it is compressed or of an unknown version. */
export function readDebugEntries(elf: ElfFile): DebugInformation | undefined {
  const info = relocated(elf, '.debug_info');
  const abbreviations = relocated(elf, '.debug_abbrev');
  if (info === undefined || abbreviations === undefined) return undefined;
  const reader = new EntryReader(
    info,
    abbreviations,
    relocated(elf, '.debug_str'),
    relocated(elf, '.debug_line_str'),
    relocated(elf, '.debug_str_offsets'),
  );
  return reader.readAll();
}

/**
 * The sections of that name with their relocations to other debug sections applied. Several of one name are
 * COMDAT type units; the first is the file's own.
 */
function relocated(elf: ElfFile, name: string): ElfBytes | undefined {
  const section = elf.section(name);
  if (section === undefined || section.flags & SHF_COMPRESSED) return undefined;
  const bytes = Buffer.from(elf.sectionBytes(section));
  for (const { offset, type, symbol, addend } of elf.relocationsOf(section)) {
    if (type !== R_X86_64[32] || offset + 4 > bytes.length) continue;
    bytes.writeUInt32LE((elf.symbols[symbol]!.value + addend) >>> 0, offset);
  }
  return new ElfBytes(bytes, `${elf.fileName}: ${name}`);
}

class EntryReader {
  readonly #result: DebugInformation = { units: [], byOffset: new Map() };
  readonly #info: ElfBytes;
  readonly #abbreviationBytes: ElfBytes;
  readonly #strings: ElfBytes | undefined;
  readonly #lineStrings: ElfBytes | undefined;
  readonly #stringOffsets: ElfBytes | undefined;
  readonly #tables = new Map<number, Map<number, Abbreviation>>();
  #at = 0;
  #unitStart = 0;

  constructor(
    info: ElfBytes,
    abbreviations: ElfBytes,
    strings: ElfBytes | undefined,
    lines: ElfBytes | undefined,
    offsets: ElfBytes | undefined,
  ) {
    this.#info = info;
    this.#abbreviationBytes = abbreviations;
    this.#strings = strings;
    this.#lineStrings = lines;
    this.#stringOffsets = offsets;
  }

  readAll(): DebugInformation | undefined {
    while (this.#at < this.#info.bytes.length) {
      this.#unitStart = this.#at;
      const length = this.#info.u32(this.#at);
      const version = this.#info.u16(this.#at + 4);
      // A length of 0xffffffff announces 64-bit DWARF, which gcc makes on request only.
      if (length === 0xffffffff || (version !== 4 && version !== 5)) return undefined;
      const end = this.#at + 4 + length;
      this.#info.check(this.#at, 4 + length, 'a unit');
      const unitType = version === 5 ? this.#info.u8(this.#at + 6) : 0;
      const abbreviations = this.#table(this.#info.u32(this.#at + (version === 5 ? 8 : 6)));
      const isTypeUnit = unitType === DW_UT_TYPE || unitType === DW_UT_SPLIT_TYPE;
      this.#at += (version === 5 ? 12 : 11) + (isTypeUnit ? 12 : 0);
      this.#readTree(abbreviations, end);
      this.#at = end;
    }
    return this.#result;
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
      const entry: DebugEntry = { tag: abbreviation.tag, attributes: new Map(), children: [] };
      for (const { name, form, constant } of abbreviation.attributes) {
        const value = this.#value(form, constant);
        if (value !== undefined && KEPT.has(name)) entry.attributes.set(name, value);
      }
      this.#result.byOffset.set(offset, entry);
      const parent = parents.at(-1);
      if (parent === undefined) this.#result.units.push(entry);
      else parent.children.push(entry);
      if (abbreviation.hasChildren) parents.push(entry);
      else if (parent === undefined) return;
    }
  }

  #table(offset: number): Map<number, Abbreviation> {
    let table = this.#tables.get(offset);
    if (table !== undefined) return table;
    table = new Map();
    this.#tables.set(offset, table);
    const bytes = this.#abbreviationBytes;
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
        if (form === 0x21) [constant, at] = readLeb(bytes, at, true);
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

  /** DWARF 5, section 7.5.6: the value of an attribute, or undefined for forms that no type layout uses. */
  #value(form: number, constant: number): number | string | undefined {
    switch (form) {
      case 0x0b: // data1
      case 0x0c: // flag
        return this.#fixed(1);
      case 0x05: // data2
        return this.#fixed(2);
      case 0x06: // data4
      case 0x17: // sec_offset
      case 0x10: // ref_addr
        return this.#fixed(4);
      case 0x07: // data8
        return this.#fixed(8);
      case 0x11: // ref1
        return this.#unitStart + this.#fixed(1);
      case 0x12: // ref2
        return this.#unitStart + this.#fixed(2);
      case 0x13: // ref4
        return this.#unitStart + this.#fixed(4);
      case 0x14: // ref8
        return this.#unitStart + this.#fixed(8);
      case 0x15: // ref_udata
        return this.#unitStart + this.#uleb();
      case 0x1a: // strx
        return this.#indexedString(this.#uleb());
      case 0x25: // strx1
      case 0x26: // strx2
      case 0x27: // strx3
      case 0x28: // strx4
        return this.#indexedString(this.#fixed(form - 0x24));
      case 0x29: // addrx1
      case 0x2a: // addrx2
      case 0x2b: // addrx3
      case 0x2c: // addrx4
        return this.#skip(form - 0x28);
      case 0x0f: // udata
      case 0x1b: // addrx
      case 0x22: // loclistx
      case 0x23: // rnglistx
        return this.#uleb();
      case 0x0d: {
        // sdata
        const [value, next] = readLeb(this.#info, this.#at, true);
        this.#at = next;
        return value;
      }
      case 0x21: // implicit_const
        return constant;
      case 0x19: // flag_present
        return 1;
      case 0x08: {
        // string
        const text = this.#info.string(this.#at, this.#info.bytes.length);
        this.#at = this.#info.bytes.indexOf(0, this.#at) + 1;
        return text;
      }
      case 0x0e: // strp
        return this.#string(this.#strings, this.#fixed(4));
      case 0x1f: // line_strp
        return this.#string(this.#lineStrings, this.#fixed(4));
      case 0x0a: // block1
        return this.#skip(this.#fixed(1));
      case 0x03: // block2
        return this.#skip(this.#fixed(2));
      case 0x04: // block4
        return this.#skip(this.#fixed(4));
      case 0x09: // block
      case 0x18: // exprloc
        return this.#skip(this.#uleb());
      case 0x01: // addr
      case 0x20: // ref_sig8
        return this.#skip(8);
      case 0x1e: // data16
        return this.#skip(16);
      default:
        throw this.#info.bad(`unknown attribute form ${form}`);
    }
  }

  /** The object file's one table of offsets follows a header of eight bytes (DWARF 5, section 7.26). */
  #indexedString(index: number): string | undefined {
    const table = this.#stringOffsets;
    return table && this.#string(this.#strings, table.u32(8 + 4 * index));
  }

  #string(table: ElfBytes | undefined, offset: number): string | undefined {
    return table?.string(offset, table.bytes.length);
  }
}

/** LEB128: seven bits a byte, lowest first. Returns the value and the offset after it. */
function readLeb(bytes: ElfBytes, start: number, isSigned: boolean): [value: number, next: number] {
  let value = 0;
  let scale = 1;
  let at = start;
  for (;;) {
    const byte = bytes.u8(at++);
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte & 0x80) continue;
    return [isSigned && byte & 0x40 ? value - scale : value, at];
  }
}
