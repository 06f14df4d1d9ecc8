import { type ElfFile, type ElfSymbol, isDefined, isGlobal, STT, STV } from '../elf/index.js';
import type { PatchNote } from './note.js';

/** The local symbols of one source file, as they follow its STT_FILE symbol in a linked program. */
interface FileGroup {
  sourceFile: string;
  locals: Map<string, ElfSymbol[]>;
}

/**
 * Finds local symbols of a linked program. Their names are not unique, and neither are the names of source
 * files (`util.c`); the file is recognised by what else it defines.
 */
export class LocalSymbols {
  readonly #objects: PatchNote['objects'];
  readonly #groups: FileGroup[] = [];
  /**
   * Hidden global symbols become local when they are linked. GNU ld puts them behind an STT_FILE symbol without a name;
   * gold puts them last, and lld where they come from, both still marked as hidden.
   */
  readonly #hidden: FileGroup = { sourceFile: '', locals: new Map() };
  readonly #chosen = new Map<string, FileGroup[]>();

  constructor(elf: ElfFile, objects: PatchNote['objects']) {
    this.#objects = objects;
    const wanted = new Set(Object.values(objects).map(({ sourceFile }) => sourceFile));
    let group: FileGroup | undefined;
    for (const symbol of elf.symbols) {
      if (symbol.type === STT.FILE) {
        group = wanted.has(symbol.name) ? { sourceFile: symbol.name, locals: new Map() } : undefined;
        if (group !== undefined) this.#groups.push(group);
        if (symbol.name === '') group = this.#hidden;
      } else if (isDefined(symbol) && !isGlobal(symbol)) {
        const isHidden = symbol.visibility === STV.HIDDEN || symbol.visibility === STV.INTERNAL;
        const { locals } = (isHidden ? this.#hidden : group) ?? {};
        const others = locals?.get(symbol.name);
        if (others === undefined) locals?.set(symbol.name, [symbol]);
        else others.push(symbol);
      }
    }
  }

  /** The one symbol of that name in that object file; undefined when there is none, or more than one. */
  find(object: string, name: string): ElfSymbol | undefined {
    const candidates = this.candidates(object, name);
    return candidates.length === 1 ? candidates[0] : undefined;
  }

  /** A global symbol of the sources that is local to the linked program. */
  hidden(name: string): ElfSymbol | undefined {
    return this.#hidden.locals.get(name)?.[0];
  }

  /** All symbols that fit: several when source files cannot be told apart. */
  candidates(object: string, name: string): ElfSymbol[] {
    return this.#groupsOf(object).flatMap((group) => group.locals.get(name) ?? []);
  }

  /** Drops the groups of an object file that do not contain the symbol: its bytes have told. */
  settle(object: string, name: string, symbol: ElfSymbol): void {
    const groups = this.#groupsOf(object).filter((group) => group.locals.get(name)?.includes(symbol));
    this.#chosen.set(object, groups);
  }

  /** The groups of the object's source file that have most of its local symbols, with their sizes. */
  #groupsOf(object: string): FileGroup[] {
    let chosen = this.#chosen.get(object);
    if (chosen === undefined) {
      const described = Object.hasOwn(this.#objects, object) ? this.#objects[object] : undefined;
      if (described === undefined) return [];
      const { sourceFile, locals } = described;
      const scored = this.#groups
        .filter((group) => group.sourceFile === sourceFile)
        .map((group) => ({ group, score: score(group, locals) }));
      const best = Math.max(0, ...scored.map((entry) => entry.score));
      chosen = scored.filter((entry) => entry.score === best).map((entry) => entry.group);
      this.#chosen.set(object, chosen);
    }
    return chosen;
  }
}

/** How many of the object's local symbols the group has. The linker may have dropped unused ones. */
function score(group: FileGroup, locals: Readonly<Record<string, number>>): number {
  return Object.entries(locals).filter(([name, size]) =>
    group.locals.get(name)?.some((symbol) => symbol.size === size),
  ).length;
}
