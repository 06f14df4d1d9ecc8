import { type ElfRelocation, type ElfSymbol, isDefined, isGlobal, SHF, STT } from '../elf/index.js';
import { AtlasError } from '../errors/atlas-error.js';
import type { InputProgram, InputSection } from './input-program.js';

/** What a relocation refers to, in terms that can be compared between two builds. */
export type Reference =
  /** A symbol other files see; `definition` is its section when this program defines it in one. */
  | { kind: 'global'; symbol: ElfSymbol; addend: number; definition: InputSection | undefined }
  /** A place in a section that has an identity. */
  | { kind: 'section'; section: InputSection; offset: number }
  /** Read-only content without a name; `user` and `relocation` tell where exactly it starts. */
  | {
      kind: 'anonymous';
      section: InputSection;
      offset: number;
      user: InputSection;
      relocation: ElfRelocation;
    }
  /** A string or number in a mergeable section. */
  | { kind: 'literal'; section: InputSection; content: Uint8Array; addend: number }
  | { kind: 'absolute'; value: number };

/**
 * Offsets are symbol value + addend as they stand. For a PC-relative field that is off by the distance to the
 * instruction's end; both builds have the same bytes around the field when their references are compared, so the
 * distance is the same too.
 */
export function referenceOf(
  section: InputSection,
  relocation: ElfRelocation,
  program: InputProgram,
): Reference {
  const { elf, sections } = section.object;
  const symbol = elf.symbols[relocation.symbol]!;
  if (isGlobal(symbol)) {
    const own = isDefined(symbol) ? sections[symbol.section] : undefined;
    // Of a weak or COMDAT symbol the copy that the linker keeps.
    const definition = program.globals.get(symbol.name)?.section ?? own;
    return { kind: 'global', symbol, addend: relocation.addend, definition };
  }
  if (!isDefined(symbol)) return { kind: 'absolute', value: symbol.value + relocation.addend };
  const target = sections[symbol.section]!;
  if (target.kind === 'literal') return literalReference(target, symbol, relocation.addend);
  const offset = symbol.value + relocation.addend;
  if (target.kind !== 'anonymous') return { kind: 'section', section: target, offset };
  return { kind: 'anonymous', section: target, offset, user: section, relocation };
}

/**
 * Assemblers keep the label of PC-relative references into mergeable sections, because the linker moves the
 * pieces: the piece starts at the label. A section symbol is only used where value + addend is exact.
 */
function literalReference(section: InputSection, symbol: ElfSymbol, addend: number): Reference {
  const exact = symbol.type === STT.SECTION ? symbol.value + addend : symbol.value;
  const entrySize = section.header.entrySize;
  const isString = (section.header.flags & SHF.STRINGS) !== 0;
  const start = isString ? exact : exact - (exact % entrySize);
  const end = isString ? stringEnd(section.bytes, start, entrySize) : start + entrySize;
  if (!(start >= 0 && end <= section.bytes.length)) {
    throw new AtlasError('bad-input', `${section.object.elf.fileName}: a literal lies outside its section`);
  }
  return {
    kind: 'literal',
    section,
    content: section.bytes.subarray(start, end),
    addend: symbol.value + addend - start,
  };
}

/** The end of the NUL-terminated string of characters `width` bytes wide. */
function stringEnd(bytes: Uint8Array, start: number, width: number): number {
  for (let at = start; at + width <= bytes.length; at += width) {
    if (bytes.subarray(at, at + width).every((byte) => byte === 0)) return at + width;
  }
  return Number.POSITIVE_INFINITY;
}
