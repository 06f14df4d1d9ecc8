export * from './constants.js';
export { alignUp, ElfBytes } from './elf-bytes.js';
export { ElfFile, type ElfRelocation, type ElfSection, type ElfSegment, readElf } from './elf-file.js';
export { type ElfNote, encodeNote } from './notes.js';
export {
  type RelocationDraft,
  RelocatableWriter,
  type SectionDraft,
  type SymbolDraft,
} from './relocatable-writer.js';
export { R_X86_64, relocationName } from './relocation-types.js';
export { type ElfSymbol, isDefined, isGlobal } from './symbol-table.js';
