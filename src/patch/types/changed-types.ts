import { type ElfSymbol, SHN } from '../../elf/index.js';
import type { Doubt } from '../doubts.js';
import { type InputObject, type InputProgram, type InputSection, qualifiedName } from '../input-program.js';
import { type DebugEntry, DW_TAG } from './debug-entries.js';
import { renumbered } from './enumerators.js';
import { AGGREGATES, type ObjectTypes } from './object-types.js';
import type { ProgramTypes } from './program-types.js';
import { spellBoth, TypeComparison } from './same-type.js';

/** What the comparison of code and data has found so far. */
export interface CodeChanges {
  pairs: ReadonlyMap<InputSection, InputSection>;
  replaced: readonly { old: readonly InputSection[]; new: readonly InputSection[] }[];
  addedFunctions: readonly InputSection[];
}

export interface TypeChanges {
  doubts: Doubt[];
  /** Object files with changed code that could not be compared, for want of debugging information. */
  untypedObjects: string[];
}

/**
 * Compares the types of the memory that lives on. Whatever the new code can reach counts: variables; types by their
 * names, wherever an object file with changed code mentions them; and what parameters and variables of changed functions
 * point to, under whatever name.
 */
export function changedTypes(
  old: InputProgram,
  fresh: InputProgram,
  changes: CodeChanges,
  types: ProgramTypes,
): TypeChanges {
  const result: TypeChanges = { doubts: [], untypedObjects: [] };
  const touched = new Set(
    [...changes.replaced.map((change) => change.new[0]!), ...changes.addedFunctions].map(
      ({ object }) => object,
    ),
  );
  for (const object of fresh.objects.values()) {
    const own = old.objects.get(object.path);
    const isTouched = touched.has(object);
    if (own !== undefined && Buffer.compare(object.content, own.content) === 0) continue;
    const freshTypes = types.of(object);
    const others = counterparts(object, own, changes);
    for (const oldObject of others) {
      const oldTypes = types.of(oldObject);
      if (oldTypes === undefined || freshTypes === undefined) {
        if (isTouched && !result.untypedObjects.includes(object.path))
          result.untypedObjects.push(object.path);
        continue;
      }
      const comparison = new TypeComparison(oldTypes, freshTypes);
      result.doubts.push(...changedVariables(oldObject, object, comparison, changes));
      if (isTouched) compareFunctions(oldObject, object, comparison, changes);
      if (isTouched && (oldObject === own || own === undefined)) {
        result.doubts.push(...changedNames(object, comparison));
        for (const text of renumbered(oldTypes, freshTypes)) {
          result.doubts.push({
            kind: 'enumerators',
            symbol: object.path,
            text: `${text} (in ${object.path})`,
          });
        }
      }
      result.doubts.push(...layoutDoubts(object, comparison));
    }
    // A new file shares types with all of the program.
    if (others.length === 0 && isTouched && freshTypes !== undefined) {
      result.doubts.push(...foreignTypes(object, freshTypes, [...old.objects.values()], types));
    }
  }
  return result;
}

/** The object files of the old build that have something in common with one of the new. */
function counterparts(
  object: InputObject,
  own: InputObject | undefined,
  { pairs }: CodeChanges,
): InputObject[] {
  const found = new Set(own === undefined ? [] : [own]);
  for (const section of object.sections) {
    const other = pairs.get(section);
    if (other !== undefined) found.add(other.object);
  }
  return [...found];
}

function layoutDoubts(object: InputObject, comparison: TypeComparison): Doubt[] {
  comparison.settle();
  return [...comparison.changedLayouts].map(([label, what]) => ({
    kind: 'layouts',
    symbol: label,
    text: `${label} in ${object.path}: its layout changed: ${what}`,
  }));
}

/** Types by a name that files of the old build know, none of them as the new file does. */
function foreignTypes(
  object: InputObject,
  freshTypes: ObjectTypes,
  oldObjects: readonly InputObject[],
  types: ProgramTypes,
): Doubt[] {
  const comparisons = oldObjects.flatMap((other) => {
    const oldTypes = types.of(other);
    return oldTypes === undefined ? [] : [new TypeComparison(oldTypes, freshTypes)];
  });
  for (const comparison of comparisons) changedNames(object, comparison);
  const doubts = comparisons.map((comparison) => layoutDoubts(object, comparison));
  const everywhere = (symbol: string) =>
    comparisons.every(({ old, changedLayouts }) => !old.named.has(symbol) || changedLayouts.has(symbol));
  return doubts.flat().filter(({ symbol }) => everywhere(symbol));
}

/** Variables of the object file that both builds have. */
function changedVariables(
  oldObject: InputObject,
  object: InputObject,
  comparison: TypeComparison,
  { pairs }: CodeChanges,
): Doubt[] {
  const doubts: Doubt[] = [];
  const compareTypes = (
    symbol: string,
    oldType: DebugEntry | undefined,
    freshType: DebugEntry | undefined,
  ) => {
    if (oldType === undefined || freshType === undefined) return;
    if (comparison.sameShape(oldType, freshType)) return;
    const [was, is] = spellBoth(comparison, oldType, freshType);
    doubts.push({ kind: 'types', symbol, text: `${symbol}: its type changed from ${was} to ${is}` });
  };
  const compare = (before: ElfSymbol, after: ElfSymbol) =>
    compareTypes(
      qualifiedName(object, after),
      typeOfSymbol(comparison.old, before),
      typeOfSymbol(comparison.fresh, after),
    );
  // clang may make several symbols of one variable: those have no type.
  for (const [name, entry] of comparison.fresh.outermost) {
    const before = comparison.old.outermost.get(name);
    if (before !== undefined && !isSymbol(object, name)) {
      compareTypes(`${object.path}:${name}`, comparison.old.typeOf(before), comparison.fresh.typeOf(entry));
    }
  }
  for (const section of object.sections) {
    const other = pairs.get(section);
    if (other === undefined || section.kind === 'code' || other.object !== oldObject) continue;
    if (!section.isShared && !other.isShared && section.primary && other.primary) {
      compare(other.primary, section.primary);
      continue;
    }
    for (const symbol of section.symbols) {
      const before = other.symbols.find(({ name }) => name === symbol.name);
      if (before !== undefined) compare(before, symbol);
    }
  }
  for (const symbol of object.elf.symbols) {
    if (symbol.section !== SHN.COMMON) continue;
    const before = oldObject.elf.symbols.find(
      ({ name, section }) => name === symbol.name && section === SHN.COMMON,
    );
    if (before !== undefined) compare(before, symbol);
  }
  return doubts;
}

const isSymbol = ({ elf }: InputObject, name: string) => elf.symbolsNamed(name).length > 0;

function typeOfSymbol(types: ObjectTypes, symbol: ElfSymbol): DebugEntry | undefined {
  const entry = types.declarationOf(symbol);
  return entry && types.typeOf(entry);
}

/** Types that both builds know by one name. */
function changedNames(object: InputObject, comparison: TypeComparison): Doubt[] {
  const { old, fresh } = comparison;
  const doubts: Doubt[] = [];
  for (const [name, type] of fresh.named) {
    const other = old.named.get(name);
    if (other === undefined) continue;
    if (AGGREGATES.has(type.tag)) comparison.noteAggregates(other, type, name);
    else if (
      isComparedTypedef(other, old) &&
      isComparedTypedef(type, fresh) &&
      !comparison.sameShape(other, type)
    ) {
      const [was, is] = spellBoth(comparison, old.typeOf(other), fresh.typeOf(type));
      const text = `${name} in ${object.path}: its layout changed: it was ${was} and is ${is}`;
      doubts.push({ kind: 'layouts', symbol: name, text });
    }
  }
  for (const [name, type] of fresh.local) {
    const other = old.local.get(name);
    if (other === undefined || !AGGREGATES.has(type.tag) || !AGGREGATES.has(other.tag)) continue;
    // Objects that nothing points to end with the function's frame.
    if (old.isPointedTo(other) || fresh.isPointedTo(type)) comparison.noteAggregates(other, type, name);
  }
  return doubts;
}

/** A name of templates is a name of many types, which debugging information does not tell apart: C++ goes by the types. */
function isComparedTypedef(type: DebugEntry, types: ObjectTypes): boolean {
  if (type.tag !== DW_TAG.typedef) return false;
  const target = types.bare(type);
  return (
    !types.isCpp || (target !== undefined && AGGREGATES.has(target.tag) && types.nameOf(target) === undefined)
  );
}

/** What parameters, variables and results of changed functions point to. */
function compareFunctions(
  oldObject: InputObject,
  object: InputObject,
  comparison: TypeComparison,
  { replaced }: CodeChanges,
): void {
  const { old, fresh } = comparison;
  for (const change of replaced) {
    const [before, after] = [change.old[0]!, change.new[0]!];
    if (after.object !== object || before.object !== oldObject) continue;
    if (before.primary === undefined || after.primary === undefined) continue;
    const oldFunction = old.declarationOf(before.primary);
    const freshFunction = fresh.declarationOf(after.primary);
    if (oldFunction === undefined || freshFunction === undefined) continue;
    comparison.notePointees(old.typeOf(oldFunction), fresh.typeOf(freshFunction));
    const oldVariables = variablesOf(old, oldFunction);
    for (const [name, type] of variablesOf(fresh, freshFunction)) {
      if (oldVariables.has(name)) comparison.notePointees(oldVariables.get(name), type);
    }
  }
}

/** Types of a function's parameters and variables, those of inlined functions included; by name. */
function variablesOf(types: ObjectTypes, entry: DebugEntry): Map<string, DebugEntry | undefined> {
  const found = new Map<string, DebugEntry | undefined>();
  const walk = (scope: DebugEntry, prefix: string) => {
    for (const child of scope.children) {
      if (child.tag === DW_TAG.variable || child.tag === DW_TAG.formal_parameter) {
        let key = prefix + types.nameOf(child);
        while (found.has(key)) key += "'";
        found.set(key, types.typeOf(child));
      } else if (child.tag === DW_TAG.lexical_block) walk(child, prefix);
      else if (child.tag === DW_TAG.inlined_subroutine) walk(child, `${types.nameOf(child)}()::`);
    }
  };
  walk(entry, '');
  return found;
}
