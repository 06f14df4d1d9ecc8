import { ET, type ElfFile, isDefined, isGlobal, readElf, SHF, SHT, STB, STT } from '../elf/index.js';
import { AtlasError } from '../errors/atlas-error.js';
import { decodePatchNote, type PatchNote } from './note.js';
import { impossible } from './input-program.js';
import { relocationWidth } from './relocation-effects.js';

/** A patch file that has been read and whose structure has been checked. */
export interface PatchObject {
  fileName: string;
  elf: ElfFile;
  note: PatchNote;
  /** Local symbols of the target that the patch refers to, by qualified name. */
  imports: ReadonlyMap<string, { object: string; name: string }>;
}

const MAXIMUM_IMAGE_SIZE = 2 ** 30;

/** Throws `bad-input` for anything that is not a sound patch. */
export function readPatch(bytes: Uint8Array, fileName: string): PatchObject {
  const elf = readElf(bytes, fileName);
  const bad = (what: string) =>
    new AtlasError('bad-input', `${fileName}: ${what}`, 'Build the patch again with "atlas patch build".');
  if (elf.type !== ET.REL) throw bad('not a patch: not a relocatable object');
  const note = decodePatchNote(elf);

  let imageSize = 0;
  for (const section of elf.sections) {
    if (!(section.flags & SHF.ALLOC)) continue;
    const problem = impossible(section);
    if (problem !== undefined) throw bad(problem);
    imageSize += section.size + section.alignment;
    const size = section.type === SHT.NOBITS ? 0 : section.size;
    for (const { offset, type } of elf.relocationsOf(section)) {
      if (offset + (relocationWidth(type) ?? 0) > size) {
        throw bad(`a relocation lies outside section ${section.name}`);
      }
    }
  }
  if (imageSize > MAXIMUM_IMAGE_SIZE) throw bad('its sections are too large');
  const defined = new Set(elf.symbols.filter(isDefined).map((symbol) => symbol.name));
  const missing = note.functions.find((change) => !defined.has(change.symbol));
  if (missing !== undefined) throw bad(`it names ${missing.symbol} but does not contain it`);
  for (const symbol of elf.symbols) {
    if (!isDefined(symbol) || symbol.type === STT.SECTION) continue;
    if (symbol.value > elf.sections[symbol.section]!.size)
      throw bad(`${symbol.name} lies outside its section`);
  }
  return { fileName, elf, note, imports: new Map(Object.entries(note.imports)) };
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
  const sizeOf = (name: string) =>
    elf.symbols.filter((symbol) => symbol.name === name && isDefined(symbol)).at(0)?.size ?? 0;
  return {
    file: fileName,
    format: note.format,
    name: note.name,
    buildId: note.buildId ?? null,
    replaced: note.functions.map(({ symbol, parts }) => ({
      symbol,
      oldSize: parts.reduce((sum, part) => sum + part.size, 0),
      newSize: sizeOf(symbol),
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
