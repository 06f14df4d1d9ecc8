import {
  type ElfRelocation,
  type ElfSection,
  type ElfSymbol,
  R_X86_64,
  relocationName,
  SHF,
} from '../elf/index.js';
import { JUMP_SIZE } from './diff.js';
import { moveOutOfLine } from './far-access.js';
import {
  type Fixup,
  FRAME_SECTION,
  type ImageLayout,
  type ImagePart,
  type Location,
} from './image-layout.js';
import { ImageTables } from './image-tables.js';
import type { PatchObject } from './patch-object.js';
import { SymbolValues } from './symbol-values.js';
import type { TargetResolver } from './target-program.js';
import { rewriteDescriptor, rewriteGeneralDynamic, rewriteLocalDynamic } from './tls-sequences.js';

/** A place in the patch's image. */
interface Field {
  section: ElfSection;
  /** Where the section starts in the part. */
  base: number;
  part: ImagePart;
  offset: number;
  relocation: ElfRelocation;
  /** All of the section. */
  relocations: readonly ElfRelocation[];
}

/** Code of a function that had to be put elsewhere in the image. */
export interface OutOfLine {
  /** The function's section in the patch. */
  section: number;
  offset: number;
  size: number;
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
  readonly outOfLine: OutOfLine[] = [];
  readonly #values: SymbolValues;
  readonly #tables: ImageTables;

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
    this.#values = new SymbolValues(patch, resolver, layout, this.reasons);
    this.#tables = new ImageTables(layout);
  }

  relocateAll(): void {
    const { elf } = this.#patch;
    for (const section of elf.sections) {
      if (!(section.flags & SHF.ALLOC)) continue;
      const { part, offset: base } = this.#layout.place(section.index)!;
      const relocations = elf.relocationsOf(section);
      for (let index = 0; index < relocations.length; index++) {
        const relocation = relocations[index]!;
        index += this.#relocate({
          section,
          base,
          part,
          offset: base + relocation.offset,
          relocation,
          relocations,
        });
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
      case R_X86_64.GOTPC32:
        return this.#fix(field, 'pc32', this.#tables.start(), addend);
      case R_X86_64.GOTPC64:
        return this.#fix(field, 'pc64', this.#tables.start(), addend);
      case R_X86_64.GOTOFF64:
        return this.#fix(field, 'got64', this.#address(field), addend);
      case R_X86_64.PLTOFF64:
        return this.#fix(field, 'got64', this.#callee(field), addend);
      case R_X86_64.GOT64:
      case R_X86_64.GOTPLT64:
        return this.#fix(field, 'got64', this.#offsetTableEntry(field), addend);
      case R_X86_64.GOTPCREL64:
        return this.#fix(field, 'pc64', this.#offsetTableEntry(field), addend);
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
    if (target === undefined) return 0;
    const { part, offset } = field;
    if (this.#isOutOfReach(field, form, target, addend)) this.#fixOutOfLine(field, target);
    else this.#layout.fixups.push({ part, offset, form, target, addend });
    return 0;
  }

  /** Whether an instruction refers to something that its field cannot reach from anywhere near the program. */
  #isOutOfReach({ section }: Field, form: Fixup['form'], target: Location, addend: number): boolean {
    if (!('address' in target) || !(section.flags & SHF.EXECINSTR)) return false;
    const value = target.address + addend;
    if (form === 'abs32') return value < 0 || value >= 2 ** 32;
    if (form === 'abs32s') return Math.abs(value) >= 2 ** 31;
    return form === 'pc32' && this.#isForeign(target.address);
  }

  #fixOutOfLine(field: Field, target: Location): void {
    const { section, base, part, relocation } = field;
    const name = this.#symbolOf(field).name;
    const code = part.bytes.subarray(base, base + section.size);
    const access = moveOutOfLine(code, relocation.offset, relocation.addend);
    const isAlone =
      access !== undefined &&
      field.relocations.every(({ offset }) => {
        const distance = offset - access.start;
        return offset === relocation.offset || distance < 0 || distance >= access.length;
      });
    if (access === undefined || !isAlone || !('address' in target)) {
      this.reasons.add(
        `${name}: ${section.name} refers to it by an instruction that does not reach shared libraries`,
      );
      return;
    }
    // A thread that stands at its first byte is inside of the function, too: see `QuiescenceTest`.
    const offset = 1 + part.reserve(1 + access.code.length + JUMP_SIZE, 1);
    part.bytes.set(access.code, offset);
    writeJump(part.bytes, offset + access.code.length, base + access.start + access.length);
    const start = base + access.start;
    part.bytes.fill(NOP, start, start + access.length);
    writeJump(part.bytes, start, offset);
    const address = target.address + access.distance;
    const slot = this.#tables.slot(`${name}+${access.distance}@far`, { address });
    this.#layout.fixups.push({
      part,
      offset: offset + access.slotField,
      form: 'pc32',
      target: slot,
      addend: -4,
    });
    this.outOfLine.push({ section: section.index, offset, size: access.code.length + JUMP_SIZE });
  }

  #symbolOf(field: Field): ElfSymbol {
    return this.#patch.elf.symbols[field.relocation.symbol]!;
  }

  /** Where a branch goes; through a stub to a function that may be far away. */
  #callee(field: Field): Location | undefined {
    const symbol = this.#symbolOf(field);
    const oldEntry = this.#oldEntryTaken(field, symbol);
    if (oldEntry !== undefined) return oldEntry;
    const value = this.#values.of(symbol);
    if (value === undefined) return undefined;
    if (value.kind === 'slot') return this.#tables.stub(symbol.name, { address: value.slot });
    if (value.kind !== 'place') return this.#notCode(symbol);
    if ('part' in value.place || !this.#isForeign(value.place.address)) return value.place;
    return this.#tables.stub(symbol.name, this.#tables.slot(symbol.name, value.place));
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
    const value = this.#values.of(symbol);
    if (value === undefined) return undefined;
    if (value.kind === 'place') return value.place;
    if (value.kind !== 'slot') return this.#notCode(symbol);
    return this.#values.pointee(symbol, value);
  }

  /**
   * A replaced function is entered by its old entry, from new code too: the entry leads to the newest code
   * that the thread's generation has, so a later patch has to change nothing in this one's image, which all
   * generations share. And pointers to it that the program holds compare equal.
   */
  #oldEntryTaken(field: Field, symbol: ElfSymbol): Location | undefined {
    const { type, addend } = field.relocation;
    // What describes the new code means the new code.
    if (field.section.name === FRAME_SECTION) return undefined;
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
    if (oldEntry !== undefined) return this.#tables.slot(symbol.name, { address: oldEntry });
    const value = this.#values.of(symbol);
    if (value === undefined) return undefined;
    if (value.kind === 'place') return this.#tables.slot(`${symbol.name}@${symbol.index}`, value.place);
    if (value.kind !== 'slot') return this.#notCode(symbol);
    if (!value.isLazy || isIndirectBranch(field)) return { address: value.slot };
    // A lazily bound slot leads to the binder at first: good to call, but not the function's address.
    const address = this.#values.pointee(symbol, value);
    return address && this.#tables.slot(symbol.name, address);
  }

  #notCode(symbol: ElfSymbol): undefined {
    this.reasons.add(`${symbol.name}: a thread-local variable, referred to as if it were none`);
    return undefined;
  }

  #threadOffsetEntry(field: Field): Location | undefined {
    const symbol = this.#symbolOf(field);
    const value = this.#values.of(symbol);
    if (value?.kind === 'tls-slot') return { address: value.slot };
    if (value?.kind === 'tls') return this.#tables.constant(`${symbol.name}@tpoff`, value.offset);
    if (value !== undefined) this.reasons.add(`${symbol.name}: not a thread-local variable of the program`);
    return undefined;
  }

  #threadOffset(field: Field): number | undefined {
    const symbol = this.#symbolOf(field);
    const value = this.#values.of(symbol);
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
    if (offset === undefined) return 0;
    const place = offset + field.relocation.addend;
    if (this.#isThreadOffset(field, place)) field.part.bytes.writeInt32LE(place, field.offset);
    return 0;
  }

  #isThreadOffset(field: Field, offset: number): boolean {
    const fits = Math.abs(offset) < 2 ** 31;
    if (!fits) this.reasons.add(`${this.#symbolOf(field).name}: an impossible place in thread-local memory`);
    return fits;
  }

  #rewriteTls(field: Field): number {
    const offset = this.#threadOffset(field);
    if (offset === undefined) return field.relocation.type === R_X86_64.TLSGD ? 1 : 0;
    const { type, addend } = field.relocation;
    const { bytes } = field.part;
    // The addend of a general dynamic field is the PC-relative -4, and says nothing about the variable.
    const place = offset + (addend + 4);
    if (!this.#isThreadOffset(field, place)) return 0;
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
}

const NOP = 0x90;

/** `jmp rel32` from one place of a part to another. */
function writeJump(bytes: Buffer, from: number, to: number): void {
  bytes[from] = 0xe9;
  bytes.writeInt32LE(to - (from + JUMP_SIZE), from + 1);
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
