import { isGlobal, SHN } from '../elf/index.js';
import { Comparison } from './compare.js';
import { type Correlation, pair } from './correlation.js';
import type { Doubt } from './doubts.js';
import { type InputProgram, type InputSection, nameOf, qualifiedName } from './input-program.js';
import { referenceOf } from './references.js';
import { fingerprint } from './statics.js';
import { familyOf, originOf } from './symbol-names.js';
import type { ProgramTypes } from './types/program-types.js';

const isState = ({ kind }: InputSection) => kind === 'variable' || kind === 'tls';

/**
 * Pairs variables that were renamed or moved, where that is certain: because all code that uses the one uses the other now
 * and is otherwise the same; or because name, file's worth of content and a user are.
 */
export function keepRenamedState(found: Correlation, old: InputProgram, fresh: InputProgram): void {
  let candidates = renamedInPlace(found, old, fresh);
  for (let before = -1; candidates.size > 0 && candidates.size !== before; ) {
    before = candidates.size;
    const pairs = new Map([...found.pairs, ...candidates]);
    const comparison = new Comparison(old, fresh, pairs);
    candidates = new Map(
      [...candidates].filter(([section, other]) => {
        const users = found.freshUsers.sectionsOf(section);
        const oldUsers = new Set(found.oldUsers.sectionsOf(other));
        return (
          users.length === oldUsers.size &&
          users.every((user) => {
            const counterpart = pairs.get(user);
            return (
              counterpart !== undefined &&
              oldUsers.has(counterpart) &&
              comparison.sameContent(counterpart, user)
            );
          })
        );
      }),
    );
  }
  for (const [section, other] of candidates) pair(found, other, section);
  keepMoved(found);
}

/** What functions of the same bytes refer to in the same place, when the old one is gone and the new one is new. */
function renamedInPlace(
  found: Correlation,
  old: InputProgram,
  fresh: InputProgram,
): Map<InputSection, InputSection> {
  const candidates = new Map<InputSection, InputSection>();
  const refused = new Set<InputSection>();
  const users = new Set(
    [...found.added].filter(isState).flatMap((section) => found.freshUsers.sectionsOf(section)),
  );
  for (const user of users) {
    const other = found.pairs.get(user);
    if (other === undefined || other.relocations.length !== user.relocations.length) continue;
    for (const [index, relocation] of user.relocations.entries()) {
      const section = targetOf(user, relocation, fresh);
      const before = targetOf(other, other.relocations[index]!, old);
      if (section === undefined || before === undefined) continue;
      if (!found.added.has(section) || !found.removed.has(before) || !isState(section) || !isState(before))
        continue;
      const known = candidates.get(section);
      const isTaken = [...candidates].some(([taken, by]) => by === before && taken !== section);
      if ((known !== undefined && known !== before) || isTaken) refused.add(section);
      else if (fingerprint(section) === fingerprint(before)) candidates.set(section, before);
    }
  }
  for (const section of refused) candidates.delete(section);
  return candidates;
}

function targetOf(
  user: InputSection,
  relocation: InputSection['relocations'][number],
  program: InputProgram,
) {
  const reference = referenceOf(user, relocation, program);
  if (reference.kind === 'section') return reference.section;
  return reference.kind === 'global' ? reference.definition : undefined;
}

/** The same name and content, in another file, when there is only one such variable and it has a user in common. */
function keepMoved(found: Correlation): void {
  const movable = (sections: ReadonlySet<InputSection>) =>
    [...sections].filter((section) => isState(section) && section.primary !== undefined);
  const removed = movable(found.removed);
  const added = movable(found.added);
  const keyOf = (section: InputSection) => `${section.kind} ${section.primary!.name} ${fingerprint(section)}`;
  for (const section of added) {
    const alike = removed.filter((other) => keyOf(other) === keyOf(section));
    const rivals = added.filter((other) => keyOf(other) === keyOf(section));
    const [other] = alike;
    if (other === undefined || alike.length !== 1 || rivals.length !== 1) continue;
    if (familyOf(section.primary!.name) !== section.primary!.name) continue;
    if (shareUsers(found, other, section)) pair(found, other, section);
  }
}

function shareUsers(found: Correlation, old: InputSection | string, fresh: InputSection | string): boolean {
  const oldUsers = new Set(found.oldUsers.sectionsOf(old));
  return found.freshUsers.sectionsOf(fresh).some((user) => {
    const other = found.pairs.get(user);
    return other !== undefined && oldUsers.has(other);
  });
}

/** Two variables for sure: both builds have all functions that use the one or the other. */
function areUsedApart(found: Correlation, old: InputSection | string, fresh: InputSection | string): boolean {
  const { oldUsers, freshUsers } = found;
  const isKnown = (functions: ReadonlySet<string>) => (name: string) => functions.has(name);
  return (
    [...freshUsers.of(fresh)].every(isKnown(oldUsers.functions)) &&
    [...oldUsers.of(old)].every(isKnown(freshUsers.functions))
  );
}

/** A variable that only one of the builds has. */
interface Lone {
  /** Common variables have no section. */
  key: InputSection | string;
  name: string;
  label: string;
}

/** New variables that may be old ones under another name: they would begin with their initial value. */
export function lostState(found: Correlation, old: InputProgram, fresh: InputProgram): Doubt[] {
  const doubts: Doubt[] = [];
  const removed = [...loneSections(found.removed), ...loneCommons(old, fresh)];
  const added = [...loneSections(found.added), ...loneCommons(fresh, old)];
  for (const variable of added) {
    const symbol = variable.label;
    const others = removed.filter(
      ({ key, name }) =>
        shareUsers(found, key, variable.key) ||
        (name === variable.name && !areUsedApart(found, key, variable.key)),
    );
    if (others.length > 0) {
      const names = others.map(({ label }) => label).join(' and ');
      const text = `${names} is gone and ${symbol} is new: were it the same variable, its value would be lost`;
      doubts.push({ kind: 'state', symbol, text });
    }
  }
  return doubts;
}

/**
 * New variables that the old source has too, and that the compiler did without: because nothing used them, or because nothing
 * read what was written there.
 */
export function unknownState(
  found: Correlation,
  old: InputProgram,
  types: ProgramTypes,
): { symbol: string; reason: string }[] {
  return loneSections(found.added)
    .filter((variable) => isAbsent(variable, old, types))
    .map(({ label }) => ({
      symbol: label,
      reason: 'the running program does without this variable: it begins with its initial value',
    }));
}

function loneSections(sections: ReadonlySet<InputSection>): Lone[] {
  return [...sections].filter(isState).flatMap((section) => {
    const { primary } = section;
    return primary === undefined
      ? []
      : [{ key: section, name: baseName(primary.name), label: nameOf(section) }];
  });
}

/** Common variables of one build that the other does not know at all. */
function loneCommons(program: InputProgram, other: InputProgram): Lone[] {
  return [...program.globals.values()]
    .filter(({ symbol }) => symbol.section === SHN.COMMON && !other.globals.has(symbol.name))
    .map(({ symbol, object }) => ({
      key: symbol.name,
      name: symbol.name,
      label: qualifiedName(object, symbol),
    }));
}

/** `n` for a static of a function, whether gcc made `n.0` of it or clang `f.n`. */
function baseName(name: string): string {
  return name.startsWith('_Z') ? familyOf(name) : originOf(name).replace(/^.*\.(?=[^.])/, '');
}

/** Known to the old source, but nowhere in the old program. */
function isAbsent({ key }: Lone, old: InputProgram, types: ProgramTypes): boolean {
  if (typeof key === 'string' || key.primary === undefined) return false;
  const object = old.objects.get(key.object.path);
  const known = object && types.of(object);
  return known?.isAbsent(key.primary.name) ?? false;
}

/** A variable without an initial value that is common in one build (`-fcommon`) and defined in the other, or common in both. */
export function changedCommons(old: InputProgram, fresh: InputProgram): string[] {
  const reasons: string[] = [];
  for (const [name, after] of fresh.globals) {
    const before = old.globals.get(name);
    if (before === undefined) continue;
    const isCommon = (definition: typeof after) => definition.symbol.section === SHN.COMMON;
    if (!isCommon(before) && !isCommon(after)) continue;
    const was = shapeOf(before, old);
    const is = shapeOf(after, fresh);
    if (was === undefined || is === undefined)
      reasons.push(`${name}: changed from a variable to something else`);
    else if (!was.isZero || !is.isZero) reasons.push(`${name}: its initial value changed`);
    else if (was.size !== is.size)
      reasons.push(`${name}: its size changed from ${was.size} to ${is.size} bytes`);
    else if (was.alignment < is.alignment) {
      reasons.push(`${name}: its alignment was raised from ${was.alignment} to ${is.alignment}`);
    }
  }
  return reasons;
}

function shapeOf(
  { symbol, section }: { symbol: { name: string }; section: InputSection | undefined },
  program: InputProgram,
) {
  if (section !== undefined) {
    const { size, alignment } = section.header;
    return section.kind === 'variable'
      ? { size, alignment, isZero: section.bytes.every((byte) => byte === 0) }
      : undefined;
  }
  // The linker makes room for the largest.
  const all = [...program.objects.values()].flatMap((object) =>
    object.elf.symbols.filter(
      (other) => isGlobal(other) && other.name === symbol.name && other.section === SHN.COMMON,
    ),
  );
  const largest = (of: 'size' | 'value') => Math.max(...all.map((other) => other[of]));
  // The value of a common symbol is its alignment.
  return { size: largest('size'), alignment: largest('value'), isZero: true };
}

/** Sections of the new build that are a common variable of the old one: nothing is added for them. */
export function isOldCommon(section: InputSection, old: InputProgram): boolean {
  const { primary } = section;
  return (
    primary !== undefined && isGlobal(primary) && old.globals.get(primary.name)?.symbol.section === SHN.COMMON
  );
}
