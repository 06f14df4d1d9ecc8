import { ByteCursor } from './byte-cursor.js';
import { FrameEntries, type FrameEntry } from './frame-entries.js';
import { findFrameSections, type LocatedBytes } from './frame-sections.js';
import { DW_EH_PE_datarel_sdata4, DW_EH_PE_omit, readEncodedPointer } from './pointer-encoding.js';
import { type UnwindRow, unwindRowAt } from './unwind-row.js';

/** What a module says about one instruction. */
export interface UnwindRule {
  readonly row: UnwindRow;
  readonly returnAddressColumn: number;
  readonly signalFrame: boolean;
}

interface FrameIndex {
  find(address: number): FrameEntry | undefined;
}

const MOST_RULES = 10_000;

/**
 * The unwind information of one loaded ELF file. Addresses are those of the process: `loadBias` is the
 * difference between where the file is loaded and where it was linked to be.
 */
export class UnwindModule {
  readonly loadBias: number;
  readonly #index: FrameIndex | undefined;
  /** By address: the stacks of a program's threads have most of their frames in common. */
  readonly #rules = new Map<number, UnwindRule | undefined>();

  /** Keeps the bytes; throws for what is not an x86-64 ELF file. */
  constructor(elfBytes: Uint8Array, loadBias: number) {
    this.loadBias = loadBias;
    const sections = findFrameSections(elfBytes);
    if (sections.header) this.#index = indexOfHeader(sections.header, sections.at);
    else if (sections.ehFrame) this.#index = new ScannedIndex(new FrameEntries(sections.ehFrame));
  }

  /** The rule for the instruction at `address`, or `undefined` if no frame description covers it. */
  ruleAt(address: number): UnwindRule | undefined {
    if (this.#rules.has(address)) return this.#rules.get(address);
    const rule = this.#readRule(address - this.loadBias);
    if (this.#rules.size >= MOST_RULES) this.#rules.clear();
    this.#rules.set(address, rule);
    return rule;
  }

  #readRule(linked: number): UnwindRule | undefined {
    const entry = this.#index?.find(linked);
    if (entry === undefined) return undefined;
    return {
      row: unwindRowAt(entry, linked),
      returnAddressColumn: entry.common.returnAddressColumn,
      signalFrame: entry.common.signalFrame,
    };
  }

  /** The extent, in process addresses, of the frame description that covers `address`. */
  extentAt(address: number): { start: number; end: number } | undefined {
    const entry = this.#index?.find(address - this.loadBias);
    return entry && { start: entry.start + this.loadBias, end: entry.end + this.loadBias };
  }
}

/**
 * .eh_frame_hdr (LSB Core): version 1, three encodings, the address of .eh_frame, the number of
 * frame descriptions, and a table of (start of code, frame description) sorted by the first.
 */
function indexOfHeader(header: LocatedBytes, at: (address: number) => LocatedBytes | undefined) {
  const cursor = new ByteCursor(header.bytes);
  const bases = { cursorAddress: header.address, data: header.address };
  const version = cursor.u8();
  const ehFrameEncoding = cursor.u8();
  const countEncoding = cursor.u8();
  const tableEncoding = cursor.u8();
  if (version !== 1 || ehFrameEncoding === DW_EH_PE_omit) return undefined;
  const section = at(readEncodedPointer(cursor, ehFrameEncoding, bases));
  if (section === undefined) return undefined;
  const entries = new FrameEntries(section);
  // Linkers write no other table; a linker may leave it out (for discarded or unsortable entries).
  if (countEncoding === DW_EH_PE_omit || tableEncoding !== DW_EH_PE_datarel_sdata4) {
    return new ScannedIndex(entries);
  }
  const count = readEncodedPointer(cursor, countEncoding, bases);
  return new SearchTable(header, cursor.offset, count, entries);
}

/** Binary search in the header's table, where both columns are relative to the header. */
class SearchTable implements FrameIndex {
  readonly #view: DataView;
  readonly #base: number;
  readonly #count: number;
  readonly #entries: FrameEntries;

  constructor(header: LocatedBytes, tableOffset: number, count: number, entries: FrameEntries) {
    const table = new ByteCursor(header.bytes, tableOffset).take(count * 8);
    this.#view = new DataView(table.buffer, table.byteOffset, table.byteLength);
    this.#base = header.address;
    this.#count = count;
    this.#entries = entries;
  }

  find(address: number): FrameEntry | undefined {
    const wanted = address - this.#base;
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#view.getInt32(middle * 8, true) <= wanted) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    const entry = this.#entries.at(this.#base + this.#view.getInt32((low - 1) * 8 + 4, true));
    return address >= entry.start && address < entry.end ? entry : undefined;
  }
}

/** For files without a search table: reads every entry once, at the first question. */
class ScannedIndex implements FrameIndex {
  readonly #entries: FrameEntries;
  #sorted: FrameEntry[] | undefined;

  constructor(entries: FrameEntries) {
    this.#entries = entries;
  }

  find(address: number): FrameEntry | undefined {
    this.#sorted ??= [...this.#entries.all()].sort((a, b) => a.start - b.start);
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sorted[middle]!.start <= address) low = middle + 1;
      else high = middle;
    }
    const entry = this.#sorted[low - 1];
    return entry !== undefined && address < entry.end ? entry : undefined;
  }
}
