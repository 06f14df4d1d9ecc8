import {
  type ElfRelocation,
  type ElfSymbol,
  isDefined,
  isGlobal,
  RelocatableWriter,
  relocationName,
  type SectionDraft,
  SHF,
  SHN,
  SHT,
  STB,
  STT,
  type SymbolDraft,
} from '../elf/index.js';
import { nameOf, type ProgramDiff } from './diff.js';
import { framesOf, FrameTable } from './frame-entries.js';
import { FRAME_SECTION } from './image-layout.js';
import { type InputObject, type InputProgram, type InputSection, qualifiedName } from './input-program.js';
import { encodePatchNote, NOTE_SECTION, type PatchNote } from './note.js';
import { type Reference, referenceOf } from './references.js';
import { relocationWidth } from './relocation-effects.js';

/** A local symbol of the running program that the patch refers to. */
export interface LocalImport {
  object: InputObject;
  name: string;
}

/**
 * Writes the relocatable object of a patch: carries code and new data over from the new build together with the
 * read-only content they use, and turns references to what the program has already into undefined symbols.
 *
 * The unwinder of the running program does not find the carried .eh_frame by itself: it has to be registered.
 */
export class PatchEmitter {
  readonly reasons: string[] = [];
  readonly localImports = new Map<string, LocalImport>();
  readonly #writer = new RelocatableWriter();
  readonly #drafts = new Map<InputSection, SectionDraft>();
  readonly #defined = new Map<string, SymbolDraft>();
  readonly #imports = new Map<string, SymbolDraft>();
  readonly #literals = new Map<string, LiteralPool>();
  readonly #program: InputProgram;
  readonly #oldProgram: InputProgram;
  readonly #diff: ProgramDiff;
  readonly #pending: [InputSection, SectionDraft][] = [];
  #relocationCount = 0;

  constructor(old: InputProgram, fresh: InputProgram, diff: ProgramDiff) {
    this.#program = fresh;
    this.#oldProgram = old;
    this.#diff = diff;
  }

  get relocationCount(): number {
    return this.#relocationCount;
  }

  /** Carries everything that the diff names; then `finish` writes the file. */
  carryAll(): void {
    const roots = [
      ...this.#diff.replaced.flatMap((replaced) => replaced.new),
      ...this.#diff.addedFunctions,
      ...this.#diff.addedData,
    ];
    for (const section of roots) this.#carry(section);
    this.#relocatePending();
    this.#carryFrames();
    this.#relocatePending();
  }

  #relocatePending(): void {
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) {
      const [section, draft] = next;
      this.#relocate(section, section.relocations, draft, { start: 0, size: section.bytes.length });
    }
  }

  /** What the unwinder has to know about the carried code, and the tables of its exception handlers. */
  #carryFrames(): void {
    const table = new FrameTable();
    const draft = this.#writer.section({
      name: FRAME_SECTION,
      type: SHT.PROGBITS,
      flags: SHF.ALLOC,
      alignment: 8,
      entrySize: 0,
      bytes: new Uint8Array(0),
      size: 0,
    });
    const carried = [...this.#drafts.keys()].filter(({ kind }) => kind === 'code');
    for (const frame of carried.flatMap(framesOf)) {
      table.add(frame, ({ section, relocations, bytes }, start) =>
        this.#relocate(section, relocations, draft, { start, size: bytes.length }),
      );
    }
    draft.bytes = table.isEmpty ? draft.bytes : table.bytes();
    draft.size = draft.bytes.length;
  }

  finish(note: PatchNote): Uint8Array {
    for (const pool of this.#literals.values()) pool.close();
    const bytes = encodePatchNote(note);
    this.#writer.section({
      name: NOTE_SECTION,
      type: SHT.NOTE,
      flags: 0,
      alignment: 4,
      entrySize: 0,
      bytes,
      size: bytes.length,
    });
    return this.#writer.bytes();
  }

  #carry(section: InputSection): SectionDraft {
    const known = this.#drafts.get(section);
    if (known !== undefined) return known;
    const { name, type, flags, alignment, size } = section.header;
    const draft = this.#writer.section({
      name,
      type: type === SHT.NOBITS ? SHT.NOBITS : SHT.PROGBITS,
      // A group or mergeable section would need more than its content to be one.
      flags: flags & (SHF.WRITE | SHF.ALLOC | SHF.EXECINSTR),
      alignment: Math.max(1, alignment),
      entrySize: 0,
      bytes: section.bytes,
      size,
    });
    this.#drafts.set(section, draft);
    for (const symbol of section.symbols) this.#define(section.object, symbol, draft);
    this.#pending.push([section, draft]);
    return draft;
  }

  #define(object: InputObject, symbol: ElfSymbol, section: SectionDraft): void {
    const name = qualifiedName(object, symbol);
    const { value, size, type } = symbol;
    const binding = symbol.binding === STB.GNU_UNIQUE ? STB.GLOBAL : symbol.binding;
    this.#defined.set(name, this.#writer.symbol({ name, value, size, type, binding, section }));
  }

  /** @param carried where the bytes that the relocations are for start in the draft, and how many there are */
  #relocate(
    section: InputSection,
    relocations: readonly ElfRelocation[],
    draft: SectionDraft,
    carried: { start: number; size: number },
  ): void {
    for (const relocation of relocations) {
      const { offset, type } = relocation;
      const width = relocationWidth(type);
      if (width === undefined) {
        this.reasons.push(`${nameOf(section)}: unknown relocation (${relocationName(type)})`);
        continue;
      }
      if (offset + width > carried.size) {
        this.reasons.push(`${nameOf(section)}: a relocation lies outside the section`);
        continue;
      }
      const reference = referenceOf(section, relocation, this.#program);
      const target = this.#target(section, reference);
      if (target === undefined) continue;
      draft.relocations.push({ offset: carried.start + offset, type, ...target });
      this.#relocationCount++;
    }
  }

  #target(user: InputSection, reference: Reference): { symbol: SymbolDraft; addend: number } | undefined {
    switch (reference.kind) {
      case 'absolute':
        return { symbol: this.#absolute(), addend: reference.value };
      case 'literal':
        return this.#literal(reference);
      case 'anonymous':
        return {
          symbol: this.#writer.sectionSymbol(this.#carry(reference.section)),
          addend: reference.offset,
        };
      case 'section':
        return this.#sectionTarget(user, reference.section, reference.offset);
      case 'global':
        return this.#globalTarget(reference.symbol, reference.addend, reference.definition);
    }
  }

  #sectionTarget(user: InputSection, section: InputSection, offset: number) {
    const draft = this.#drafts.get(section);
    if (draft !== undefined) return { symbol: this.#writer.sectionSymbol(draft), addend: offset };
    const old = this.#diff.pairs.get(section);
    if (old?.primary === undefined) {
      this.reasons.push(
        `${nameOf(user)}: refers to ${nameOf(section)}, which the running program may not have`,
      );
      return undefined;
    }
    return { symbol: this.#import(old.object, old.primary), addend: offset - old.primary.value };
  }

  #globalTarget(symbol: ElfSymbol, addend: number, definition: InputSection | undefined) {
    const carried = definition && this.#drafts.has(definition) ? this.#defined.get(symbol.name) : undefined;
    if (carried !== undefined) return { symbol: carried, addend };
    // The old build may know it under another name: a static that became global.
    const old = definition && this.#diff.pairs.get(definition);
    if (old?.primary !== undefined && !this.#oldProgram.globals.has(symbol.name)) {
      return {
        symbol: this.#import(old.object, old.primary),
        addend: addend + symbol.value - old.primary.value,
      };
    }
    const common = this.#newCommon(symbol);
    if (common !== undefined) return { symbol: common, addend };
    return { symbol: this.#importGlobal(symbol), addend };
  }

  /** A new `int x;` compiled with -fcommon has no section anywhere: it gets one here. */
  #newCommon(symbol: ElfSymbol): SymbolDraft | undefined {
    const definition = this.#program.globals.get(symbol.name);
    if (definition?.symbol.section !== SHN.COMMON || this.#oldProgram.globals.has(symbol.name))
      return undefined;
    const known = this.#defined.get(symbol.name);
    if (known !== undefined) return known;
    const { name, size, value } = definition.symbol;
    const section = this.#writer.section({
      name: `.bss.${name}`,
      type: SHT.NOBITS,
      flags: SHF.ALLOC | SHF.WRITE,
      // The value of a common symbol is its alignment.
      alignment: Math.max(1, value),
      entrySize: 0,
      bytes: new Uint8Array(0),
      size,
    });
    const draft = this.#writer.symbol({
      name,
      value: 0,
      size,
      type: STT.OBJECT,
      binding: STB.GLOBAL,
      section,
    });
    this.#defined.set(name, draft);
    return draft;
  }

  #import(object: InputObject, symbol: ElfSymbol): SymbolDraft {
    if (isGlobal(symbol)) return this.#importGlobal(symbol);
    const name = qualifiedName(object, symbol);
    this.localImports.set(name, { object, name: symbol.name });
    return this.#undefined(name, symbol.type, STB.GLOBAL);
  }

  #importGlobal(symbol: ElfSymbol): SymbolDraft {
    const isWeakReference = symbol.binding === STB.WEAK && !isDefined(symbol);
    return this.#undefined(symbol.name, symbol.type, isWeakReference ? STB.WEAK : STB.GLOBAL);
  }

  #undefined(name: string, type: number, binding: number): SymbolDraft {
    let draft = this.#imports.get(name);
    if (draft === undefined) {
      draft = this.#writer.symbol({ name, value: 0, size: 0, type, binding, section: SHN.UNDEF });
      this.#imports.set(name, draft);
    }
    return draft;
  }

  #absolute(): SymbolDraft {
    const name = 'absolute zero';
    let draft = this.#defined.get(name);
    if (draft === undefined) {
      draft = { name, value: 0, size: 0, type: STT.NOTYPE, binding: STB.LOCAL, section: SHN.ABS };
      this.#defined.set(name, this.#writer.symbol(draft));
    }
    return draft;
  }

  #literal({ section, content, addend }: Extract<Reference, { kind: 'literal' }>) {
    const { flags, entrySize, alignment } = section.header;
    const isString = (flags & SHF.STRINGS) !== 0;
    const name = isString ? `.rodata.str${entrySize}.${alignment}` : `.rodata.cst${entrySize}`;
    let pool = this.#literals.get(name);
    if (pool === undefined) {
      pool = new LiteralPool(this.#writer, name, alignment);
      this.#literals.set(name, pool);
    }
    return { symbol: this.#writer.sectionSymbol(pool.section), addend: addend + pool.offsetOf(content) };
  }
}

/** The literals of one kind that the carried code uses, each once. */
class LiteralPool {
  readonly section: SectionDraft;
  readonly #alignment: number;
  readonly #offsets = new Map<string, number>();
  readonly #parts: Uint8Array[] = [];
  #size = 0;

  constructor(writer: RelocatableWriter, name: string, alignment: number) {
    this.#alignment = Math.max(1, alignment);
    this.section = writer.section({
      name,
      type: SHT.PROGBITS,
      flags: SHF.ALLOC,
      alignment: this.#alignment,
      entrySize: 0,
      bytes: new Uint8Array(0),
      size: 0,
    });
  }

  offsetOf(content: Uint8Array): number {
    const key = Buffer.from(content).toString('latin1');
    let offset = this.#offsets.get(key);
    if (offset === undefined) {
      offset = this.#size;
      const padded = Math.ceil(content.length / this.#alignment) * this.#alignment;
      const part = new Uint8Array(padded);
      part.set(content);
      this.#parts.push(part);
      this.#size += padded;
      this.#offsets.set(key, offset);
    }
    return offset;
  }

  /** Hands the collected bytes to the section; nothing may be added afterwards. */
  close(): void {
    this.section.bytes = Buffer.concat(this.#parts);
    this.section.size = this.#size;
  }
}
