import {
  ET,
  type ElfFile,
  isDefined,
  isGlobal,
  readElf,
  relocationName,
  SHF,
  SHN,
  SHT,
  STB,
  STT,
} from '../elf/index.js';
import { AtlasError } from '../errors/atlas-error.js';
import { decodePatchNote, type PatchNote, type ReplacedPart } from './note.js';
import { impossible } from './input-program.js';
import { relocationWidth } from './relocation-effects.js';
import { unsealPatch } from './seal.js';

/** A patch file that has been read and whose structure has been checked. */
export interface PatchObject {
  fileName: string;
  elf: ElfFile;
  note: PatchNote;
  /** Local symbols of the target that the patch refers to, by qualified name. */
  imports: ReadonlyMap<string, { object: string; name: string }>;
}

/** Of the image that becomes part of the process: far more than any change of a program needs. */
const MAXIMUM_IMAGE_SIZE = 256 << 20;
const MAXIMUM_FUNCTIONS = 20_000;
/** Of old code that is read and compared, in all functions together. */
const MAXIMUM_OLD_CODE = 64 << 20;
const MAXIMUM_SYMBOLS = 1_000_000;

/** Throws `bad-input` for anything that is not a sound patch. */
export function readPatch(bytes: Uint8Array, fileName: string): PatchObject {
  const bad = (what: string) =>
    new AtlasError('bad-input', `${fileName}: ${what}`, 'Build the patch again with "atlas patch build".');
  const elf = readElf(unsealPatch(bytes, fileName), fileName);
  if (elf.type !== ET.REL) throw bad('not a patch: not a relocatable object');
  const note = decodePatchNote(elf);
  const problem = problemOfSections(elf) ?? problemOfSymbols(elf) ?? problemOfNote(elf, note);
  if (problem !== undefined) throw bad(problem);
  return { fileName, elf, note, imports: new Map(Object.entries(note.imports)) };
}

function problemOfSections(elf: ElfFile): string | undefined {
  let imageSize = 0;
  let contentSize = 0;
  for (const section of elf.sections) {
    if (!(section.flags & SHF.ALLOC)) continue;
    const { name, flags, type, size, alignment } = section;
    const problem = impossible(section);
    if (problem !== undefined) return problem;
    if (flags & SHF.TLS)
      return `section ${name} has thread-local variables, which running threads have no room for`;
    if (type !== SHT.PROGBITS && type !== SHT.NOBITS) return `section ${name} is of an unknown type`;
    imageSize += size + alignment;
    if (type === SHT.PROGBITS) contentSize += size;
  }
  if (imageSize > MAXIMUM_IMAGE_SIZE) return 'its sections are too large';
  // Sections that lie over each other are nothing that we write, and would multiply a small file.
  if (contentSize > elf.size) return 'its sections overlap';
  for (const section of elf.sections) {
    if (!(section.flags & SHF.ALLOC)) continue;
    const size = section.type === SHT.NOBITS ? 0 : section.size;
    for (const { offset, type } of elf.relocationsOf(section)) {
      const width = relocationWidth(type);
      if (width === undefined)
        return `section ${section.name} has an unknown relocation (${relocationName(type)})`;
      if (offset + width > size) return `a relocation lies outside section ${section.name}`;
    }
  }
  return undefined;
}

function problemOfSymbols(elf: ElfFile): string | undefined {
  if (elf.symbols.length > MAXIMUM_SYMBOLS) return 'it has too many symbols';
  const names = new Set<string>();
  for (const symbol of elf.symbols) {
    if (symbol.type === STT.SECTION) continue;
    if (symbol.section === SHN.COMMON) return `${symbol.name} has no section`;
    if (!isDefined(symbol)) continue;
    const { name, value, size } = symbol;
    const section = elf.sections[symbol.section]!;
    if (!(section.flags & SHF.ALLOC)) return `${name} lies in a section that is not loaded`;
    if (value + size > section.size) return `${name} lies outside its section`;
    if (names.has(name)) return `it defines ${name} twice`;
    names.add(name);
  }
  return undefined;
}

function problemOfNote(elf: ElfFile, note: PatchNote): string | undefined {
  if (note.functions.length > MAXIMUM_FUNCTIONS)
    return `${note.functions.length} functions are too many for a patch`;
  const sections = new Map(elf.symbols.filter(isDefined).map(({ name, section }) => [name, section]));
  const seen = new Set<string>();
  let oldCode = 0;
  for (const { symbol, parts } of note.functions) {
    const section = sections.get(symbol);
    if (section === undefined) return `it names ${symbol} but does not contain it`;
    if (!(elf.sections[section]!.flags & SHF.EXECINSTR)) return `${symbol} is not code`;
    if (seen.has(symbol)) return `it replaces ${symbol} twice`;
    seen.add(symbol);
    for (const part of parts) {
      if (!areInOrder(part)) return `${part.symbol}: its masked ranges overlap or lie outside of it`;
      oldCode += part.size;
    }
  }
  return oldCode > MAXIMUM_OLD_CODE ? 'the replaced functions are too large' : undefined;
}

/** Ascending, disjoint and inside, as `maskedRanges` makes them. */
function areInOrder({ masked, size }: ReplacedPart): boolean {
  let end = 0;
  return masked.every(([offset, length]) => {
    const follows = offset >= end;
    end = offset + length;
    return follows && end <= size;
  });
}

export interface PatchInspection {
  file: string;
  format: number;
  name: string;
  buildId: string | null;
  replaced: { symbol: string; oldSize: number; newSize: number; parts: number }[];
  added: PatchNote['added'];
  removed: string[];
  /** Names that the running program must resolve. */
  needs: string[];
  relocations: number;
  verdicts: PatchNote['verdicts'];
}

/** What a patch file would do, as plain data. */
export function inspectPatch(bytes: Uint8Array, fileName: string): PatchInspection {
  const { elf, note } = readPatch(bytes, fileName);
  const sizes = new Map(elf.symbols.filter(isDefined).map(({ name, size }) => [name, size]));
  return {
    file: fileName,
    format: note.format,
    name: note.name,
    buildId: note.buildId ?? null,
    replaced: note.functions.map(({ symbol, parts }) => ({
      symbol,
      oldSize: parts.reduce((sum, part) => sum + part.size, 0),
      newSize: sizes.get(symbol) ?? 0,
      parts: parts.length,
    })),
    added: note.added,
    removed: note.removed,
    needs: elf.symbols
      .filter((symbol) => symbol.name !== '' && symbol.binding !== STB.LOCAL && isGlobal(symbol))
      .filter((symbol) => symbol.section === 0)
      .map((symbol) => symbol.name),
    relocations: elf.sections.reduce(
      (sum, section) => sum + (section.flags & SHF.ALLOC ? elf.relocationsOf(section).length : 0),
      0,
    ),
    verdicts: note.verdicts,
  };
}
