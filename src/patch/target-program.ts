import {
  type ElfFile,
  type ElfSymbol,
  isDefined,
  isGlobal,
  PT,
  R_X86_64,
  SHF,
  SHN,
  SHT,
  STT,
} from '../elf/index.js';
import { alignUp } from '../elf/index.js';
import { Entries } from './entries.js';
import type { Libraries, Resolution } from './libraries.js';
import type { PatchObject } from './patch-object.js';
import { LocalSymbols } from './target-symbols.js';

/** The running program that a patch is linked against. */
export interface TargetProgram {
  /** The main executable, as on disk. */
  elf: ElfFile;
  /** What was added to link-time addresses when the executable was mapped; 0 unless it is a PIE. */
  loadBias: number;
  /** The running program's bytes, of text and of its global offset table. */
  readText(address: number, length: number): Uint8Array;
  /** For what the executable itself does not define; a static one has none. */
  libraries?: Libraries;
  /** What earlier patches left, as `rememberPatch` collected it. */
  applied?: AppliedPatches;
}

/** Names and places that earlier patches brought into a program. Keys are qualified names. */
export interface AppliedPatches {
  /** Added functions and variables, and the new names of renumbered statics: the address others use. */
  symbols: ReadonlyMap<string, number>;
  /** The newest code of every function that a patch replaced or added, and of its cold parts. */
  bodies: ReadonlyMap<string, number>;
  /** What of such a function's code lies elsewhere. */
  outOfLine: ReadonlyMap<string, readonly { start: number; end: number }[]>;
}

/** What a symbol of the running program turned out to be. */
export type TargetSymbol =
  | { kind: 'address'; address: number }
  /** Known to the program through an entry of its global offset table, which holds the address. */
  | { kind: 'slot'; slot: number; isLazy: boolean }
  /** A thread-local variable of the executable: offset from the thread pointer. */
  | { kind: 'tls'; offset: number }
  /** A thread-local variable of a library: the table entry that holds its offset. */
  | { kind: 'tls-slot'; slot: number }
  /** A library has it, in a way that no patch can use. */
  | { kind: 'unusable'; why: string };

/** Looks names up in the running program, in the order in which the dynamic linker and the patches define them. */
export class TargetResolver {
  readonly target: TargetProgram;
  readonly #patch: PatchObject;
  readonly locals: LocalSymbols;
  #entries: Entries | undefined;
  #table: GlobalOffsetTable | undefined;

  constructor(patch: PatchObject, target: TargetProgram) {
    this.#patch = patch;
    this.target = target;
    this.locals = new LocalSymbols(target.elf, patch.note.objects);
  }

  get entries(): Entries {
    this.#entries ??= new Entries(this.target.elf);
    return this.#entries;
  }

  /** `undefined` when nobody defines it. Throws nothing but what reading the executable throws. */
  find(name: string): TargetSymbol | undefined {
    // Local dynamic offsets of the executable's own variables are rewritten to be relative to the thread
    // pointer, so the base that they are added to is the thread pointer itself.
    if (name === '_TLS_MODULE_BASE_') return { kind: 'tls', offset: 0 };
    const applied = this.target.applied?.symbols.get(name);
    if (applied !== undefined) return { kind: 'address', address: applied };
    const local = this.#patch.imports.get(name);
    const symbol = local ? this.locals.find(local.object, local.name) : this.global(name);
    if (symbol !== undefined) {
      if (symbol.type === STT.TLS) return { kind: 'tls', offset: this.#threadOffset(symbol.value) };
      const address = symbol.section === SHN.ABS ? symbol.value : symbol.value + this.target.loadBias;
      if (symbol.type !== STT.GNU_IFUNC) return { kind: 'address', address };
      const slot = this.#slots.indirect.get(symbol.value);
      return slot === undefined ? undefined : { kind: 'slot', slot, isLazy: false };
    }
    return local ? undefined : this.#imported(name);
  }

  /** The executable's own definition. */
  global(name: string): ElfSymbol | undefined {
    const isHere = (symbol: ElfSymbol) => isDefined(symbol) || symbol.section === SHN.ABS;
    const global = this.target.elf.symbolsNamed(name).find((symbol) => isGlobal(symbol) && isHere(symbol));
    return global ?? this.locals.hidden(name);
  }

  /**
   * Where a slot's function or variable is; undefined when the slot does not hold it yet. A slot that is bound when it
   * is first used leads into the executable's own procedure linkage table until then.
   */
  pointee(slot: number, isLazy: boolean): number | undefined {
    const bytes = Buffer.from(this.target.readText(slot, 8));
    const address = bytes.length === 8 ? Number(bytes.readBigUInt64LE()) : 0;
    return address === 0 || (isLazy && this.#isInExecutable(address)) ? undefined : address;
  }

  /** What the dynamic linker would find outside of the executable. */
  inLibraries(name: string): Resolution | undefined {
    return this.target.libraries?.resolve(name);
  }

  #isInExecutable(address: number): boolean {
    const linked = address - this.target.loadBias;
    return this.target.elf.segments.some(
      ({ type, address: start, memorySize }) =>
        type === PT.LOAD && linked >= start && linked < start + memorySize,
    );
  }

  #imported(name: string): TargetSymbol | undefined {
    // In a program that is not a PIE, an imported function whose address is taken has a fixed address: its PLT entry.
    const canonical = this.target.elf
      .symbolsNamed(name)
      .find((symbol) => symbol.section === SHN.UNDEF && symbol.value !== 0);
    if (canonical !== undefined) return { kind: 'address', address: canonical.value + this.target.loadBias };
    const { data, calls, threadOffsets } = this.#slots;
    const threadSlot = threadOffsets.get(name);
    if (threadSlot !== undefined) return { kind: 'tls-slot', slot: threadSlot };
    const dataSlot = data.get(name);
    if (dataSlot !== undefined) return { kind: 'slot', slot: dataSlot, isLazy: false };
    const callSlot = calls.get(name);
    if (callSlot !== undefined) return { kind: 'slot', slot: callSlot, isLazy: true };
    return this.inLibraries(name);
  }

  get #slots(): GlobalOffsetTable {
    this.#table ??= readOffsetTable(this.target);
    return this.#table;
  }

  /**
   * x86-64 puts the executable's thread-local block right below the thread pointer ("variant II" of the ELF TLS
   * ABI), rounded up to the segment's alignment.
   */
  #threadOffset(value: number): number {
    const segment = this.target.elf.segments.find(({ type }) => type === PT.TLS);
    return value - alignUp(segment?.memorySize ?? 0, segment?.alignment ?? 1);
  }
}

/** Run-time addresses of the executable's global offset table entries, by what they are for. */
interface GlobalOffsetTable {
  data: Map<string, number>;
  calls: Map<string, number>;
  threadOffsets: Map<string, number>;
  /** By the link-time address of the indirect function's resolver. */
  indirect: Map<number, number>;
}

function readOffsetTable({ elf, loadBias }: TargetProgram): GlobalOffsetTable {
  const table: GlobalOffsetTable = {
    data: new Map(),
    calls: new Map(),
    threadOffsets: new Map(),
    indirect: new Map(),
  };
  const dynamic = elf.dynamicSymbols;
  for (const section of elf.sections) {
    if (section.type !== SHT.RELA || !(section.flags & SHF.ALLOC)) continue;
    for (const { offset, type, symbol, addend } of elf.relocationsIn(section)) {
      const slot = offset + loadBias;
      const name = dynamic[symbol]?.name ?? '';
      if (type === R_X86_64.GLOB_DAT) table.data.set(name, slot);
      else if (type === R_X86_64.JUMP_SLOT) table.calls.set(name, slot);
      else if (type === R_X86_64.TPOFF64) table.threadOffsets.set(name, slot);
      else if (type === R_X86_64.IRELATIVE) table.indirect.set(addend, slot);
    }
  }
  return table;
}
