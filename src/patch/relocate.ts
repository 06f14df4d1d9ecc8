import {
  type ElfRelocation,
  type ElfSection,
  type ElfSymbol,
  R_X86_64,
  relocationName,
  SHF,
  SHN,
  STB,
} from '../elf/index.js';
import type { Fixup, ImageLayout, ImagePart, Location } from './image-layout.js';
import type { PatchObject } from './patch-object.js';
import type { TargetResolver, TargetSymbol } from './target-program.js';
import { rewriteDescriptor, rewriteGeneralDynamic, rewriteLocalDynamic } from './tls-sequences.js';

/** The value of a symbol: a place in the image or the program, or something the program knows in its own way. */
type Value = { kind: 'place'; place: Location } | Exclude<TargetSymbol, { kind: 'address' }>;

/** A place in the patch's image. */
interface Field {
  section: ElfSection;
  part: ImagePart;
  offset: number;
  relocation: ElfRelocation;
}

/**
 * Turns the patch's relocations into fixups of its image. Whatever cannot be resolved becomes a reason; nothing
 * is thrown, so that a refusal can name everything at once.
 */
export class Relocator {
  readonly reasons = new Set<string>();
  readonly #patch: PatchObject;
  readonly #resolver: TargetResolver;
  readonly #layout: ImageLayout;
  /** From `section+offset` of a replacing function's entry to the old entry's address. */
  readonly #oldEntries: ReadonlyMap<string, number>;
  readonly #values = new Map<number, Value | undefined>();
  readonly #slots = new Map<string, number>();
  readonly #stubs = new Map<string, number>();

  constructor(
    patch: PatchObject,
    resolver: TargetResolver,
    layout: ImageLayout,
    oldEntries: ReadonlyMap<string, number>,
  ) {
    this.#patch = patch;
    this.#resolver = resolver;
    this.#layout = layout;
    this.#oldEntries = oldEntries;
  }

  relocateAll(): void {
    const { elf } = this.#patch;
    for (const section of elf.sections) {
      if (!(section.flags & SHF.ALLOC)) continue;
      const { part, offset: base } = this.#layout.place(section.index)!;
      const relocations = elf.relocationsOf(section);
      for (let index = 0; index < relocations.length; index++) {
        const relocation = relocations[index]!;
        index += this.#relocate({ section, part, offset: base + relocation.offset, relocation });
      }
    }
  }

  /** Returns how many of the following relocations it dealt with, too. */
  #relocate(field: Field): number {
    const { type, addend } = field.relocation;
    switch (type) {
      case R_X86_64.NONE:
        return 0;
      case R_X86_64[64]:
        return this.#fix(field, 'abs64', this.#address(field), addend);
      case R_X86_64[32]:
        return this.#fix(field, 'abs32', this.#address(field), addend);
      case R_X86_64['32S']:
        return this.#fix(field, 'abs32s', this.#address(field), addend);
      case R_X86_64.PC64:
        return this.#fix(field, 'pc64', this.#address(field), addend);
      case R_X86_64.PC32:
      case R_X86_64.PLT32:
        return this.#fix(field, 'pc32', isBranch(field) ? this.#callee(field) : this.#address(field), addend);
      case R_X86_64.GOTPCREL:
      case R_X86_64.GOTPCRELX:
      case R_X86_64.REX_GOTPCRELX:
        return this.#fix(field, 'pc32', this.#offsetTableEntry(field), addend);
      case R_X86_64.GOTTPOFF:
        return this.#fix(field, 'pc32', this.#threadOffsetEntry(field), addend);
      case R_X86_64.TPOFF32:
      case R_X86_64.DTPOFF32:
        return this.#writeThreadOffset(field);
      case R_X86_64.TLSLD:
        return this.#rewritten(field, rewriteLocalDynamic(field.part.bytes, field.offset));
      case R_X86_64.TLSGD:
      case R_X86_64.GOTPC32_TLSDESC:
      case R_X86_64.TLSDESC_CALL:
        return this.#rewriteTls(field);
      default:
        this.reasons.add(`${field.section.name}: unknown relocation (${relocationName(type)})`);
        return 0;
    }
  }

  #fix(field: Field, form: Fixup['form'], target: Location | undefined, addend: number): number {
    if (target !== undefined) {
      this.#layout.fixups.push({ part: field.part, offset: field.offset, form, target, addend });
    }
    return 0;
  }

  #symbolOf(field: Field): ElfSymbol {
    return this.#patch.elf.symbols[field.relocation.symbol]!;
  }

  #valueOf(symbol: ElfSymbol): Value | undefined {
    if (!this.#values.has(symbol.index)) this.#values.set(symbol.index, this.#resolve(symbol));
    return this.#values.get(symbol.index);
  }

  #resolve(symbol: ElfSymbol): Value | undefined {
    if (symbol.section === SHN.ABS) return { kind: 'place', place: { address: symbol.value } };
    if (symbol.section !== SHN.UNDEF) {
      const place = this.#layout.place(symbol.section);
      if (place !== undefined) {
        return { kind: 'place', place: { part: place.part, offset: place.offset + symbol.value } };
      }
    } else {
      const found = this.#resolver.find(symbol.name);
      if (found !== undefined) {
        return found.kind === 'address' ? { kind: 'place', place: { address: found.address } } : found;
      }
      // An undefined weak symbol is null (gABI, "Symbol Table").
      if (symbol.binding === STB.WEAK) return { kind: 'place', place: { address: 0 } };
    }
    this.#missing(symbol);
    return undefined;
  }

  #missing(symbol: ElfSymbol): void {
    const { elf } = this.#resolver.target;
    const why = elf.hasSymbolTable ? 'the running program does not define it' : `${elf.fileName} is stripped`;
    const local = this.#patch.imports.get(symbol.name);
    const isAmbiguous = local && this.#resolver.locals.candidates(local.object, local.name).length > 1;
    this.reasons.add(
      isAmbiguous
        ? `${symbol.name}: several local symbols of that name cannot be told apart`
        : `${symbol.name}: missing symbol: ${why}`,
    );
  }

  /** Where a branch goes; through a stub to a function that may be far away. */
  #callee(field: Field): Location | undefined {
    const symbol = this.#symbolOf(field);
    const oldEntry = this.#oldEntryTaken(field, symbol);
    if (oldEntry !== undefined) return oldEntry;
    const value = this.#valueOf(symbol);
    if (value === undefined) return undefined;
    if (value.kind === 'slot') return this.#stub(symbol.name, { address: value.slot });
    if (value.kind !== 'place') return this.#notCode(symbol);
    if ('part' in value.place || !this.#isForeign(value.place.address)) return value.place;
    return this.#stub(symbol.name, this.#ownSlot(symbol.name, value.place, 0));
  }

  /** A library's code may be more than 2 GiB away from the image. */
  #isForeign(address: number): boolean {
    const { elf, loadBias } = this.#resolver.target;
    const end = Math.max(...elf.segments.map((segment) => segment.address + segment.memorySize));
    return Math.abs(address - loadBias - end) >= 2 ** 30;
  }

  #address(field: Field): Location | undefined {
    const symbol = this.#symbolOf(field);
    const oldEntry = this.#oldEntryTaken(field, symbol);
    if (oldEntry !== undefined) return oldEntry;
    const value = this.#valueOf(symbol);
    if (value === undefined) return undefined;
    if (value.kind === 'place') return value.place;
    if (value.kind !== 'slot') return this.#notCode(symbol);
    const address = this.#pointee(symbol.name, value);
    if (address !== undefined) return { address };
    this.reasons.add(`${symbol.name}: missing symbol: its address in a shared library is not known`);
    return undefined;
  }

  /**
   * A replaced function is entered by its old entry, from new code too: the entry leads to the newest code
   * that the thread's generation has, so a later patch has to change nothing in this one's image, which all
   * generations share. And pointers to it that the program holds compare equal.
   */
  #oldEntryTaken(field: Field, symbol: ElfSymbol): Location | undefined {
    const { type, addend } = field.relocation;
    const isCode = (field.section.flags & SHF.EXECINSTR) !== 0;
    // In branches, and in instructions without an immediate operand such as `lea`, the field comes last.
    const isRelative = type === R_X86_64.PC32 || type === R_X86_64.PLT32;
    const distance = isRelative && isCode ? 4 : 0;
    const address = this.#oldEntries.get(`${symbol.section}+${symbol.value + addend + distance}`);
    // The fixup adds the addend, which also spans the way from the symbol to the entry.
    return address === undefined ? undefined : { address: address - addend - distance };
  }

  #offsetTableEntry(field: Field): Location | undefined {
    const symbol = this.#symbolOf(field);
    const oldEntry = this.#oldEntries.get(`${symbol.section}+${symbol.value}`);
    if (oldEntry !== undefined) return this.#ownSlot(symbol.name, { address: oldEntry }, 0);
    const value = this.#valueOf(symbol);
    if (value === undefined) return undefined;
    if (value.kind === 'place') return this.#ownSlot(`${symbol.name}@${symbol.index}`, value.place, 0);
    if (value.kind !== 'slot') return this.#notCode(symbol);
    if (!value.isLazy || isIndirectBranch(field)) return { address: value.slot };
    // A lazily bound slot leads to the binder at first: good to call, but not the function's address.
    const address = this.#pointee(symbol.name, value);
    return this.#ownSlot(symbol.name, address === undefined ? { address: value.slot } : { address }, 0);
  }

  #pointee(name: string, slot: { slot: number; isLazy: boolean }): number | undefined {
    const address = this.#resolver.target.symbolAddress?.(name);
    return address ?? (slot.isLazy ? undefined : this.#resolver.pointee(slot.slot));
  }

  #notCode(symbol: ElfSymbol): undefined {
    this.reasons.add(`${symbol.name}: a thread-local variable, referred to as if it were none`);
    return undefined;
  }

  #threadOffsetEntry(field: Field): Location | undefined {
    const symbol = this.#symbolOf(field);
    const value = this.#valueOf(symbol);
    if (value?.kind === 'tls-slot') return { address: value.slot };
    if (value?.kind === 'tls') return this.#constantSlot(symbol.name, value.offset);
    if (value !== undefined) this.reasons.add(`${symbol.name}: not a thread-local variable of the program`);
    return undefined;
  }

  #threadOffset(field: Field): number | undefined {
    const symbol = this.#symbolOf(field);
    const value = this.#valueOf(symbol);
    if (value?.kind === 'tls') return value.offset;
    if (value !== undefined) {
      this.reasons.add(
        `${symbol.name}: unknown relocation (${relocationName(field.relocation.type)} to another module's variable)`,
      );
    }
    return undefined;
  }

  #writeThreadOffset(field: Field): number {
    const offset = this.#threadOffset(field);
    if (offset !== undefined) field.part.bytes.writeInt32LE(offset + field.relocation.addend, field.offset);
    return 0;
  }

  #rewriteTls(field: Field): number {
    const offset = this.#threadOffset(field);
    if (offset === undefined) return field.relocation.type === R_X86_64.TLSGD ? 1 : 0;
    const { type, addend } = field.relocation;
    const { bytes } = field.part;
    // The addend of a general dynamic field is the PC-relative -4, and says nothing about the variable.
    const place = offset + (addend + 4);
    return this.#rewritten(
      field,
      type === R_X86_64.TLSGD
        ? rewriteGeneralDynamic(bytes, field.offset, place)
        : rewriteDescriptor(bytes, type, field.offset, place),
    );
  }

  #rewritten(field: Field, result: { skip: number } | undefined): number {
    if (result !== undefined) return result.skip;
    const name = relocationName(field.relocation.type);
    this.reasons.add(
      `${field.section.name}: unknown relocation (${name} in an unknown instruction sequence)`,
    );
    return 0;
  }

  /** An 8-byte entry of the image's own global offset table. */
  #ownSlot(key: string, target: Location, addend: number): Location {
    const part = this.#layout.readOnly;
    let offset = this.#slots.get(key);
    if (offset === undefined) {
      offset = part.reserve(8, 8);
      this.#slots.set(key, offset);
      this.#layout.fixups.push({ part, offset, form: 'abs64', target, addend });
    }
    return { part, offset };
  }

  #constantSlot(name: string, value: number): Location {
    const part = this.#layout.readOnly;
    const key = `${name}@tpoff`;
    let offset = this.#slots.get(key);
    if (offset === undefined) {
      offset = part.reserve(8, 8);
      this.#slots.set(key, offset);
      part.bytes.writeBigInt64LE(BigInt(value), offset);
    }
    return { part, offset };
  }

  /** `jmp *slot(%rip)`, as in a procedure linkage table. */
  #stub(name: string, slot: Location): Location {
    const part = this.#layout.text;
    let offset = this.#stubs.get(name);
    if (offset === undefined) {
      offset = part.reserve(8, 8);
      this.#stubs.set(name, offset);
      part.bytes.set([0xff, 0x25, 0, 0, 0, 0, 0x66, 0x90], offset);
      this.#layout.fixups.push({ part, offset: offset + 2, form: 'pc32', target: slot, addend: -4 });
    }
    return { part, offset };
  }
}

/** `call`, `jmp` or a conditional jump: only these may go through a stub. */
function isBranch({ relocation, part, offset }: Field): boolean {
  if (relocation.type === R_X86_64.PLT32) return true;
  const [beforeLast = 0, last = 0] = offset >= 2 ? part.bytes.subarray(offset - 2, offset) : [];
  const isJumpOrCall = last === 0xe8 || last === 0xe9;
  const isConditional = beforeLast === 0x0f && (last & 0xf0) === 0x80;
  return isJumpOrCall || isConditional;
}

/** `call *x@GOTPCREL(%rip)` or `jmp *x@GOTPCREL(%rip)`. */
function isIndirectBranch({ part, offset }: Field): boolean {
  const [opcode = 0, modRm = 0] = offset >= 2 ? part.bytes.subarray(offset - 2, offset) : [];
  return opcode === 0xff && (modRm === 0x15 || modRm === 0x25);
}
