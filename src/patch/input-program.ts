import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import {
  ET,
  type ElfFile,
  type ElfRelocation,
  type ElfSection,
  type ElfSymbol,
  isDefined,
  isGlobal,
  readElf,
  SHF,
  SHN,
  SHT,
  STB,
  STT,
} from '../elf/index.js';
import { AtlasError } from '../errors/atlas-error.js';

/**
 * What an input section is to a patch. `code`, `variable`, `constant` and `tls` have an identity: the symbol
 * they define. `literal` (mergeable strings and numbers) and `anonymous` (jump tables, initialiser images) are
 * read-only and known only by their content.
 */
export type SectionKind =
  | 'code'
  | 'variable'
  | 'constant'
  | 'tls'
  | 'literal'
  | 'anonymous'
  | 'constructors'
  | 'ignored';

/** One section of one object file; the linker's unit of placement, and ours of comparison. */
export interface InputSection {
  object: InputObject;
  header: ElfSection;
  kind: SectionKind;
  bytes: Uint8Array;
  relocations: readonly ElfRelocation[];
  /** The named functions and variables it defines. */
  symbols: ElfSymbol[];
  /** The symbol that stands for it: the first one, a global one by preference. */
  primary: ElfSymbol | undefined;
  /** True when it holds several functions or variables, as without -ffunction-sections/-fdata-sections. */
  isShared: boolean;
}

export interface InputObject {
  /** How the patch calls it: its path in the folder, or the source file's name for a single object. */
  path: string;
  /** The source file's name as the compiler recorded it (STT_FILE). */
  sourceFile: string;
  elf: ElfFile;
  /** The file's bytes. */
  content: Uint8Array;
  /** By section index. */
  sections: InputSection[];
}

export interface Definition {
  object: InputObject;
  symbol: ElfSymbol;
  /** Undefined for a common or absolute symbol. */
  section: InputSection | undefined;
}

export interface InputProgram {
  objects: Map<string, InputObject>;
  /** The definition of every global symbol; of several weak or COMDAT ones the first, as the linker would. */
  globals: Map<string, Definition>;
}

/** Constants that the compiler made and numbered: no source names them, so only their content counts. */
const COMPILER_CONSTANT = /^(CSWTCH|C)\.\d+|(^|\d)__(func|FUNCTION|PRETTY_FUNCTION)__(\.\d+)?$/;

/** Data that the compiler made, under private labels, such as the descriptions of -fsanitize=undefined. */
const COMPILER_DATA = /^\.l?data(\.rel(\.local)?)?\.\.L/;

/** Sections that the running program never reads through patched code. */
const IGNORED = /^\.(eh_frame|note|stapsdt|rela?)\b|^__(patchable_function_entries|mcount_loc)$/;

export function readInputProgram(path: string): InputProgram {
  const isFolder = fileOrFolder(path) === 'folder';
  const objects = new Map<string, InputObject>();
  for (const file of isFolder ? objectFilesIn(path) : [path]) {
    const object = readObject(readFileSync(file), file);
    object.path = isFolder ? relative(path, file) : object.sourceFile;
    objects.set(object.path, object);
  }
  if (objects.size === 0) {
    throw new AtlasError('bad-input', `${path}: no object files (*.o) in this folder`);
  }
  return { objects, globals: collectGlobals(objects.values()) };
}

function fileOrFolder(path: string): 'file' | 'folder' {
  try {
    return statSync(path).isDirectory() ? 'folder' : 'file';
  } catch (cause) {
    throw new AtlasError('bad-input', `${path}: cannot be read`, 'Check the path.', { cause });
  }
}

function objectFilesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.o'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

export function readObject(bytes: Uint8Array, fileName: string): InputObject {
  const elf = readElf(bytes, fileName);
  if (elf.type !== ET.REL) {
    throw new AtlasError(
      'bad-input',
      `${fileName}: not a relocatable object file`,
      'Give the .o files of the program, compiled with -ffunction-sections -fdata-sections.',
    );
  }
  const problem = elf.sections.map(impossible).find(Boolean) ?? impossibleSymbol(elf);
  if (problem !== undefined) {
    throw new AtlasError('bad-input', `${fileName}: ${problem}`, 'Compile it again: the file is damaged.');
  }
  const sourceFile = elf.symbols.find((symbol) => symbol.type === STT.FILE)?.name ?? fileName;
  const object: InputObject = { path: fileName, sourceFile, elf, content: bytes, sections: [] };
  const symbolsBySection = new Map<number, ElfSymbol[]>();
  for (const symbol of elf.symbols) {
    if (!isDefined(symbol) || !standsForSomething(symbol)) continue;
    const others = symbolsBySection.get(symbol.section);
    if (others === undefined) symbolsBySection.set(symbol.section, [symbol]);
    else others.push(symbol);
  }
  object.sections = elf.sections.map((header) =>
    inputSection(object, header, symbolsBySection.get(header.index) ?? []),
  );
  for (const section of handlerPointers(object)) section.kind = 'anonymous';
  return object;
}

/** Pointers to types, for tables of exception handlers: clang puts them into .data, under private labels. */
function handlerPointers({ elf, sections }: InputObject): InputSection[] {
  const users = new Map<InputSection, Set<boolean>>();
  for (const { header, relocations } of sections) {
    const isTable = header.name.startsWith('.gcc_except_table');
    for (const { symbol } of relocations) {
      const target = sections[elf.symbols[symbol]!.section];
      if (target?.kind !== 'variable' || target.primary !== undefined) continue;
      users.set(target, (users.get(target) ?? new Set()).add(isTable));
    }
  }
  return [...users].filter(([, tables]) => !tables.has(false)).map(([section]) => section);
}

/** Larger alignments than a page's are nothing that a compiler asks for in code or data of a function. */
const MAXIMUM_ALIGNMENT = 4096;
const MAXIMUM_SECTION_SIZE = 2 ** 30;

/** What is wrong with a section that would become part of a process; undefined for a sound one. */
export function impossible({ name, flags, alignment, size }: ElfSection): string | undefined {
  if (!(flags & SHF.ALLOC)) return undefined;
  const isPowerOfTwo = alignment <= MAXIMUM_ALIGNMENT && (alignment & (alignment - 1)) === 0;
  if (!isPowerOfTwo) return `section ${name} has an impossible alignment`;
  return size > MAXIMUM_SECTION_SIZE ? `section ${name} is too large` : undefined;
}

function impossibleSymbol(elf: ElfFile): string | undefined {
  const symbol = elf.symbols.find((candidate) => {
    const { value, size } = candidate;
    const limit = isDefined(candidate) ? elf.sections[candidate.section]!.size : Number.MAX_SAFE_INTEGER;
    return value > limit || size > Number.MAX_SAFE_INTEGER;
  });
  return symbol && `symbol ${symbol.name || symbol.index} has an impossible value or size`;
}

function standsForSomething(symbol: ElfSymbol): boolean {
  return (
    symbol.type !== STT.SECTION &&
    symbol.type !== STT.FILE &&
    symbol.name !== '' &&
    !symbol.name.startsWith('.L')
  );
}

function inputSection(object: InputObject, header: ElfSection, symbols: ElfSymbol[]): InputSection {
  const things = symbols.filter((symbol) => symbol.type !== STT.NOTYPE || isGlobal(symbol));
  const primary = [...things].sort(
    (a, b) => a.value - b.value || Number(isGlobal(b)) - Number(isGlobal(a)) || a.index - b.index,
  )[0];
  const kind = sectionKind(header, primary);
  return {
    object,
    header,
    kind,
    bytes: kind === 'ignored' ? new Uint8Array(0) : object.elf.sectionBytes(header),
    relocations: kind === 'ignored' ? [] : object.elf.relocationsOf(header),
    symbols: things,
    primary,
    isShared: new Set(things.map((symbol) => symbol.value)).size > 1,
  };
}

function sectionKind(header: ElfSection, primary: ElfSymbol | undefined): SectionKind {
  const { flags, type, name } = header;
  if (
    type === SHT.INIT_ARRAY ||
    type === SHT.FINI_ARRAY ||
    type === SHT.PREINIT_ARRAY ||
    /^\.[cd]tors\b/.test(name)
  ) {
    return 'constructors';
  }
  if (!(flags & SHF.ALLOC) || type === SHT.NOTE || type === SHT.NULL || IGNORED.test(name)) return 'ignored';
  // Without -fdata-sections these three stand empty in every object file.
  if (header.size === 0 && primary === undefined) return 'ignored';
  if (flags & SHF.TLS) return 'tls';
  if (flags & SHF.EXECINSTR) return 'code';
  const isReadOnly = !(flags & SHF.WRITE) || /^\.l?data\.rel\.ro/.test(name);
  if (!isReadOnly) return primary === undefined && COMPILER_DATA.test(name) ? 'anonymous' : 'variable';
  if (flags & SHF.MERGE && header.entrySize > 0) return 'literal';
  return primary === undefined || COMPILER_CONSTANT.test(primary.name) ? 'anonymous' : 'constant';
}

/** What is paired with what: code with code, data with data. Undefined for what is known by content only. */
export function categoryOf(section: InputSection): 'code' | 'data' | 'tls' | undefined {
  if (section.kind === 'code' || section.kind === 'tls') return section.kind;
  return section.kind === 'variable' || section.kind === 'constant' ? 'data' : undefined;
}

function collectGlobals(objects: Iterable<InputObject>): Map<string, Definition> {
  const globals = new Map<string, Definition>();
  for (const object of objects) {
    for (const symbol of object.elf.symbols) {
      if (!isGlobal(symbol) || symbol.section === SHN.UNDEF) continue;
      const known = globals.get(symbol.name);
      const overrides = known?.symbol.binding === STB.WEAK && symbol.binding !== STB.WEAK;
      if (known !== undefined && !overrides) continue;
      const section = isDefined(symbol) ? object.sections[symbol.section] : undefined;
      globals.set(symbol.name, { object, symbol, section });
    }
  }
  return globals;
}

/** True for a weak or COMDAT copy of what another object file already defines: the linker drops it. */
export function isDiscarded(section: InputSection, program: InputProgram): boolean {
  const symbol = section.primary;
  if (symbol === undefined || !isGlobal(symbol)) return false;
  const isOneOfMany = symbol.binding === STB.WEAK || (section.header.flags & SHF.GROUP) !== 0;
  return isOneOfMany && program.globals.get(symbol.name)?.section !== section;
}

/** How the patch names a symbol: local ones are qualified, for several files may have one of that name. */
export function qualifiedName(object: InputObject, symbol: ElfSymbol): string {
  return isGlobal(symbol) ? symbol.name : `${object.path}:${symbol.name}`;
}

export function nameOf(section: InputSection): string {
  return section.primary
    ? qualifiedName(section.object, section.primary)
    : `${section.object.path}:${section.header.name}`;
}
