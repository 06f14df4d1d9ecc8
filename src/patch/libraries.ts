import { type ElfFile, type ElfSymbol, isGlobal, R_X86_64, SHF, SHN, SHT, STT, STV } from '../elf/index.js';
import { findUnwinders, type Unwinders } from './unwinding.js';

/** A file that the dynamic linker has mapped. */
export interface LoadedModule {
  /** Undefined when its file cannot be read any more: nobody knows what it defines. */
  elf: ElfFile | undefined;
  name: string;
  loadBias: number;
}

/** What the dynamic linker would resolve a name to. */
export type Resolution =
  | { kind: 'address'; address: number }
  /** It knows something, but not an address that a patch could use; or nobody can tell what it knows. */
  | { kind: 'unusable'; why: string };

/** How the patcher asks for what is outside of the executable. */
export interface Libraries {
  /** `undefined` when nobody defines the name. */
  resolve(name: string): Resolution | undefined;
  /** The library that would use a new definition of that name in the executable instead of what it uses now. */
  userOf(name: string): string | undefined;
  unwinders(): Unwinders;
}

interface Found {
  module: LoadedModule & { elf: ElfFile };
  symbol: ElfSymbol;
}

/**
 * Resolves names as the dynamic linker does (gABI, "Shared Object Dependencies"): in the order in which the program's
 * libraries are searched, each by its version. What has been decided in the running program is taken from there: the
 * executable's copies of library variables, and what indirect functions (ifunc) were resolved to.
 */
export class LoadedLibraries implements Libraries {
  readonly #modules: readonly LoadedModule[];
  readonly #readWord: (address: number) => number | undefined;
  /** How many of the modules are searched; those behind came later, with dlopen. */
  readonly #searched: number;
  #copies: Map<string, number> | undefined;
  readonly #users = new Map<LoadedModule, Set<string>>();

  /** @param modules the executable first, then its libraries in the order of the link map */
  constructor(modules: readonly LoadedModule[], readWord: (address: number) => number | undefined) {
    this.#modules = modules;
    this.#readWord = readWord;
    this.#searched = countStarted(modules);
  }

  resolve(name: string): Resolution | undefined {
    const version = this.#versionAskedFor(name);
    for (const [index, module] of this.#modules.entries()) {
      if (index === 0) continue;
      if (module.elf === undefined) {
        return { kind: 'unusable', why: `it may be in ${module.name}, whose file is not there any more` };
      }
      const symbol = definitionIn(module.elf, name, version);
      if (symbol === undefined) continue;
      if (index >= this.#searched) {
        return {
          kind: 'unusable',
          why: `only ${module.name} defines it, which the program loaded itself (dlopen)`,
        };
      }
      return this.#valueOf({ module: { ...module, elf: module.elf }, symbol });
    }
    return undefined;
  }

  userOf(name: string): string | undefined {
    return this.#modules.slice(1).find((module) => this.#namesUsedBy(module).has(name))?.name;
  }

  unwinders(): Unwinders {
    return findUnwinders(this.#modules);
  }

  #valueOf({ module, symbol }: Found): Resolution {
    const address = symbol.section === SHN.ABS ? symbol.value : symbol.value + module.loadBias;
    switch (symbol.type) {
      case STT.TLS:
        return { kind: 'unusable', why: `it is a thread-local variable of ${module.name}` };
      case STT.GNU_IFUNC: {
        const chosen = this.#chosenBy(module, symbol);
        return chosen === undefined
          ? {
              kind: 'unusable',
              why: `${module.name} chooses its code at the first call, which nobody has made yet`,
            }
          : { kind: 'address', address: chosen };
      }
      default:
        return { kind: 'address', address: this.#copyOf(module, symbol) ?? address };
    }
  }

  /** The executable's own import says which version of a library's symbol it was linked with. */
  #versionAskedFor(name: string): string | undefined {
    const elf = this.#modules[0]?.elf;
    const symbol = elf?.dynamicSymbolsNamed(name).find(({ section }) => section === SHN.UNDEF);
    return (symbol && elf?.versionOf(symbol)?.name) || undefined;
  }

  /**
   * Where the program's copy of a library's variable is. The linker made it under one of the variable's names
   * (`environ`, `__environ`); they all mean the copy (psABI, R_X86_64_COPY).
   */
  #copyOf(module: LoadedModule, symbol: ElfSymbol): number | undefined {
    this.#copies ??= this.#readCopies();
    return this.#copies.get(`${module.loadBias} ${symbol.value}`);
  }

  #readCopies(): Map<string, number> {
    const copies = new Map<string, number>();
    const [executable] = this.#modules;
    for (const { type, offset, symbol } of dynamicRelocations(executable?.elf)) {
      if (type !== R_X86_64.COPY) continue;
      const name = executable!.elf!.dynamicSymbols[symbol]!.name;
      for (const module of this.#modules.slice(1, this.#searched)) {
        const original = module.elf && definitionIn(module.elf, name, undefined);
        if (original === undefined) continue;
        copies.set(`${module.loadBias} ${original.value}`, offset + executable!.loadBias);
        break;
      }
    }
    return copies;
  }

  /** What an indirect function's resolver has chosen: in a table entry that somebody has bound to it. */
  #chosenBy({ elf, name, loadBias }: Found['module'], symbol: ElfSymbol): number | undefined {
    const isCode = (address: number) =>
      elf.segments.some(({ flags, address: start, memorySize }) => {
        const distance = address - loadBias - start;
        return (flags & PF_X) !== 0 && distance >= 0 && distance < memorySize;
      });
    for (const module of this.#modules) {
      for (const relocation of dynamicRelocations(module.elf)) {
        const { type, offset, addend } = relocation;
        const isOwn = type === R_X86_64.IRELATIVE && module.name === name && addend === symbol.value;
        if (!isOwn && !(isBinding(type) && this.#means(module, relocation.symbol, symbol.name))) continue;
        const value = this.#readWord(offset + module.loadBias);
        if (value !== undefined && value !== symbol.value + loadBias && isCode(value)) return value;
      }
    }
    return undefined;
  }

  #means(module: LoadedModule, index: number, name: string): boolean {
    const reference = module.elf!.dynamicSymbols[index];
    return reference !== undefined && reference.name === name;
  }

  #namesUsedBy(module: LoadedModule): Set<string> {
    let names = this.#users.get(module);
    if (names === undefined) {
      names = new Set();
      for (const { symbol } of dynamicRelocations(module.elf)) {
        const name = module.elf!.dynamicSymbols[symbol]?.name;
        if (name !== undefined && name !== '') names.add(name);
      }
      this.#users.set(module, names);
    }
    return names;
  }
}

const PF_X = 1;

const isBinding = (type: number): boolean => type === R_X86_64.GLOB_DAT || type === R_X86_64.JUMP_SLOT;

function dynamicRelocations(elf: ElfFile | undefined) {
  return (elf?.sections ?? [])
    .filter(({ type, flags }) => type === SHT.RELA && (flags & SHF.ALLOC) !== 0)
    .flatMap((section) => elf!.relocationsIn(section));
}

/** As `do_lookup_x` of glibc (elf/dl-lookup.c) decides; without a version, as the static linker: the default one. */
function definitionIn(elf: ElfFile, name: string, version: string | undefined): ElfSymbol | undefined {
  return elf.dynamicSymbolsNamed(name).find((symbol) => {
    const isVisible = symbol.visibility === STV.DEFAULT || symbol.visibility === STV.PROTECTED;
    if (!isGlobal(symbol) || !isVisible || symbol.section === SHN.UNDEF) return false;
    const own = elf.versionOf(symbol);
    if (own === undefined) return true;
    if (version === undefined || own.name === '') return own.isDefault;
    return own.name === version;
  });
}

/**
 * The link map lists what was mapped when the program started, preloaded libraries included, and then what was opened
 * later. So those that the program needs, directly or not, end with the last one of the first sort.
 */
function countStarted(modules: readonly LoadedModule[]): number {
  const fileName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
  const needed = new Set<string>();
  const visit = (module: LoadedModule | undefined): void => {
    for (const library of module?.elf?.neededLibraries ?? []) {
      const name = fileName(library);
      if (needed.has(name)) continue;
      needed.add(name);
      visit(modules.find((candidate) => fileName(candidate.name) === name));
    }
  };
  visit(modules[0]);
  const last = modules.findLastIndex((module) => needed.has(fileName(module.name)));
  return Math.max(1, last + 1);
}
