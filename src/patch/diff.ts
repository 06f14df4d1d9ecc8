import { isGlobal, STT } from '../elf/index.js';
import { changedAliases } from './aliases.js';
import { releaseChangedConstants } from './carried-constants.js';
import { Comparison, sameLayout } from './compare.js';
import { correlate } from './correlate.js';
import type { Correlation } from './correlation.js';
import type { Doubt } from './doubts.js';
import { type InputProgram, type InputSection, isDiscarded, nameOf } from './input-program.js';
import { changedTypes } from './types/changed-types.js';
import { changedBoundedSections } from './bounded-sections.js';
import { sameHandlers } from './frame-entries.js';
import { doubtfulFamilies } from './function-families.js';
import { innerReferences, isAddressTaken, nestedFunctions } from './inner-references.js';
import { changedCommons, isOldCommon, keepRenamedState, lostState, unknownState } from './state-loss.js';
import { ProgramTypes } from './types/program-types.js';

export { nameOf };

/** A function with the parts that the compiler split off it (`f.cold`): entry first. */
export type FunctionParts = [InputSection, ...InputSection[]];

export interface ReplacedFunction {
  old: FunctionParts;
  new: FunctionParts;
}

export interface ProgramDiff {
  replaced: ReplacedFunction[];
  addedFunctions: InputSection[];
  addedData: InputSection[];
  /** Qualified names of what the new build has no more. */
  removed: string[];
  pairs: ReadonlyMap<InputSection, InputSection>;
  /** Object files whose types could not be compared, for want of debug information. */
  untypedObjects: string[];
  /** What cannot be proved to be harmless; each can be vouched for. */
  doubts: Doubt[];
  /** What whoever applies the patch should know. */
  warnings: { symbol: string; reason: string }[];
  /** Why the change cannot be patched in; each names its symbol. Empty when it can. */
  reasons: string[];
}

/** An entry jump is `e9` and four bytes. */
export const JUMP_SIZE = 5;

/** What has to be replaced or added to make a running program of the old build behave as the new one. */
export function diffPrograms(old: InputProgram, fresh: InputProgram): ProgramDiff {
  const types = new ProgramTypes();
  const found = correlate(old, fresh, types);
  keepRenamedState(found, old, fresh);
  const boundedChanges = changedBoundedSections(old, fresh, new Comparison(old, fresh, found.pairs));
  for (const section of releaseChangedConstants(old, fresh, found.pairs)) found.added.add(section);
  const { pairs, added, removed, ambiguous } = found;
  const comparison = new Comparison(old, fresh, pairs);
  const diff: ProgramDiff = {
    replaced: [],
    addedFunctions: [],
    addedData: [],
    removed: [...removed].map(nameOf),
    pairs,
    untypedObjects: [],
    doubts: [],
    warnings: unknownState(found, old, types),
    reasons: [...ambiguous, ...changedAliases(old, fresh, pairs), ...boundedChanges],
  };
  diffFunctions(old, fresh, comparison, diff);
  const inner = innerReferences(old, found, diff.replaced);
  for (const table of inner.carried) {
    pairs.delete(table);
    diff.addedData.push(table);
  }
  diff.reasons.push(...inner.reasons, ...nestedFunctions(found, diff.replaced));
  diff.doubts.push(...inner.doubts, ...keptAddresses(old, found));
  for (const [freshSection, oldSection] of pairs) {
    if (freshSection.kind !== 'code') diff.reasons.push(...changedData(oldSection, freshSection, comparison));
  }
  for (const section of added) {
    if (section.kind === 'tls') {
      diff.reasons.push(`${nameOf(section)}: a new thread-local variable has no room in running threads`);
    } else if (section.kind !== 'code' && !isOldCommon(section, old)) {
      const reason = unidentified(section, 'data');
      if (reason === undefined) diff.addedData.push(section);
      else diff.reasons.push(reason);
    }
  }
  diff.reasons.push(...changedCommons(old, fresh), ...orderedByUse(found, comparison));
  diff.doubts.push(...lostState(found, old, fresh), ...doubtfulFamilies(found.families, comparison));
  diff.reasons.push(...changedConstructors(old, fresh, comparison, diff.replaced));
  const { doubts, untypedObjects } = changedTypes(old, fresh, diff, types);
  diff.doubts.push(...doubts);
  diff.untypedObjects.push(...untypedObjects);
  return diff;
}

/**
 * Functions that the new build does not have, and whose address may have been kept: it leads to what they were. Where one of
 * their name is in another file now, that is not what is meant.
 */
function keptAddresses(old: InputProgram, found: Correlation): Doubt[] {
  const added = new Map([...found.added].map((section) => [section.primary?.name, section]));
  return [...found.removed].flatMap((section) => {
    const other = section.kind === 'code' ? added.get(section.primary?.name) : undefined;
    if (other === undefined || !isAddressTaken(section, found.oldUsers.sectionsOf(section), old)) return [];
    const symbol = nameOf(other);
    const text = `${nameOf(section)} is gone and ${symbol} is new: where its address was kept, the old one is called`;
    return [{ kind: 'functions', symbol, text }];
  });
}

/** Statics that were told apart by their order alone: that is no proof once a function that uses them changed. */
function orderedByUse(found: Correlation, comparison: Comparison): string[] {
  return found.byOrder.flatMap(([old, fresh]) => {
    const users = [...found.freshUsers.sectionsOf(fresh)];
    const isUsedAsBefore =
      users.length === found.oldUsers.sectionsOf(old).length &&
      users.every((user) => {
        const other = found.pairs.get(user);
        return other !== undefined && comparison.sameContent(other, user);
      });
    if (isUsedAsBefore) return [];
    const name = `${fresh.primary!.name} in ${fresh.object.path}`;
    return [`${name}: cannot tell which static variable of the running program it is`];
  });
}

const COLD_SUFFIX = /\.cold(\.\d+)?$/;

/** The functions of a build, each with its cold parts, by entry section. */
function functionsOf(program: InputProgram): Map<InputSection, FunctionParts> {
  const functions = new Map<InputSection, FunctionParts>();
  const coldParts: InputSection[] = [];
  const byName = new Map<string, InputSection>();
  for (const object of program.objects.values()) {
    for (const section of object.sections) {
      if (section.kind !== 'code' || isDiscarded(section, program)) continue;
      if (section.primary && COLD_SUFFIX.test(section.primary.name)) coldParts.push(section);
      else functions.set(section, [section]);
      for (const symbol of section.symbols) byName.set(`${object.path} ${symbol.name}`, section);
    }
  }
  for (const part of coldParts) {
    const parent = byName.get(`${part.object.path} ${part.primary!.name.replace(COLD_SUFFIX, '')}`);
    const parts = parent && functions.get(parent);
    if (parts === undefined) functions.set(part, [part]);
    else parts.push(part);
  }
  return functions;
}

function diffFunctions(
  old: InputProgram,
  fresh: InputProgram,
  comparison: Comparison,
  diff: ProgramDiff,
): void {
  const oldFunctions = functionsOf(old);
  for (const [entry, parts] of functionsOf(fresh)) {
    const oldEntry = comparison.pairs.get(entry);
    const oldParts = oldEntry && oldFunctions.get(oldEntry);
    if (oldEntry === undefined || oldParts === undefined) {
      diff.reasons.push(...refusedFunction(entry, undefined));
      diff.addedFunctions.push(...parts);
      continue;
    }
    const isSame =
      parts.length === oldParts.length &&
      parts.every((part) => {
        const counterpart = comparison.pairs.get(part);
        return (
          counterpart !== undefined &&
          comparison.sameContent(counterpart, part) &&
          sameHandlers(counterpart, part, comparison)
        );
      });
    if (isSame) continue;
    diff.reasons.push(...refusedFunction(entry, oldEntry));
    diff.replaced.push({ old: oldParts, new: parts });
  }
  const names = diff.replaced.map(({ new: [entry] }) => nameOf(entry));
  const twice = names.filter((name, index) => names.indexOf(name) !== index);
  diff.reasons.push(...twice.map((name) => `${name}: defined in several of the object files`));
}

function refusedFunction(entry: InputSection, oldEntry: InputSection | undefined): string[] {
  const unknown = unidentified(entry, 'function') ?? (oldEntry && unidentified(oldEntry, 'function'));
  if (unknown !== undefined) return [unknown];
  const reasons: string[] = [];
  const isIndirect = (section: InputSection) =>
    section.symbols.some((symbol) => symbol.type === STT.GNU_IFUNC);
  if (isIndirect(entry) || (oldEntry && isIndirect(oldEntry))) {
    reasons.push(`${nameOf(entry)}: an indirect function (ifunc) is resolved once, when the program starts`);
  }
  return reasons;
}

/** Why a section cannot be carried or replaced as one thing; undefined when it can. */
function unidentified(section: InputSection, thing: 'function' | 'data'): string | undefined {
  const flag = thing === 'function' ? '-ffunction-sections' : '-fdata-sections';
  const place = `${section.header.name} of ${section.object.path}`;
  if (section.primary === undefined) return `${place}: defines no symbol; compile with ${flag}`;
  if (!section.isShared) return undefined;
  const names = section.symbols.map((symbol) => symbol.name);
  const list = names.length > 5 ? `${names.slice(0, 5).join(', ')} and more` : names.join(', ');
  return `${place}: changed, and holds ${list} together; compile with ${flag}`;
}

function changedData(old: InputSection, fresh: InputSection, comparison: Comparison): string[] {
  const name = nameOf(fresh);
  if (!sameLayout(old, fresh)) {
    const shared = old.isShared ? old : fresh;
    return [unidentified(shared, 'data')!];
  }
  if (old.header.size !== fresh.header.size) {
    return [`${name}: its size changed from ${old.header.size} to ${fresh.header.size} bytes`];
  }
  // Code that was compiled for an alignment uses instructions that fault without it.
  if (old.header.alignment < fresh.header.alignment) {
    return [`${name}: its alignment was raised from ${old.header.alignment} to ${fresh.header.alignment}`];
  }
  if (old.kind !== fresh.kind) return [`${name}: changed from ${old.kind} to ${fresh.kind}`];
  if (!comparison.sameContent(old, fresh)) return [`${name}: its initial value changed`];
  return [];
}

/**
 * Constructors have run already and are not run again, so neither their list nor their code may change. The
 * list of destructors was handed to the exit path at start.
 */
function changedConstructors(
  old: InputProgram,
  fresh: InputProgram,
  comparison: Comparison,
  replaced: readonly ReplacedFunction[],
): string[] {
  const reasons: string[] = [];
  const listsOf = (program: InputProgram, path: string) =>
    program.objects.get(path)?.sections.filter((section) => section.kind === 'constructors') ?? [];
  for (const path of new Set([...old.objects.keys(), ...fresh.objects.keys()])) {
    const oldLists = listsOf(old, path);
    const freshLists = listsOf(fresh, path);
    const isSame =
      oldLists.length === freshLists.length &&
      freshLists.every((list, index) => {
        const other = oldLists[index]!;
        return other.header.name === list.header.name && comparison.sameContent(other, list);
      });
    if (!isSame)
      reasons.push(`${path}: new, changed or removed constructors (${listNames(oldLists, freshLists)})`);
    const run = new Set(freshLists.filter((list) => !/fini|dtors/.test(list.header.name)).flatMap(targets));
    for (const { new: parts } of replaced) {
      if (parts[0].symbols.some((symbol) => parts[0].object.path === path && run.has(symbol.name))) {
        reasons.push(`${nameOf(parts[0])}: a constructor, which ran when the program started`);
      }
    }
  }
  return reasons;
}

function listNames(...lists: InputSection[][]): string {
  return [...new Set(lists.flat().map((list) => list.header.name))].join(', ');
}

/** The names of the functions that a list of constructors calls. */
function targets(list: InputSection): string[] {
  const { elf, sections } = list.object;
  return list.relocations.flatMap((relocation) => {
    const symbol = elf.symbols[relocation.symbol]!;
    if (isGlobal(symbol) || symbol.type !== STT.SECTION) return [symbol.name];
    return sections[symbol.section]?.symbols.map((target) => target.name) ?? [];
  });
}
