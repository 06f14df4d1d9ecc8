import { isGlobal } from '../elf/index.js';
import { type Correlation, type FunctionFamily, pair } from './correlation.js';
import { categoryOf, type InputProgram, type InputSection, isDiscarded } from './input-program.js';
import { fingerprint, pairStatics, UserIndex } from './statics.js';
import { byNumber, familyOf } from './symbol-names.js';
import type { ProgramTypes } from './types/program-types.js';

/** Every section that has an identity and that the linker keeps. */
function identified(program: InputProgram): InputSection[] {
  return [...program.objects.values()]
    .flatMap((object) => object.sections)
    .filter((section) => categoryOf(section) !== undefined && !isDiscarded(section, program));
}

export function correlate(old: InputProgram, fresh: InputProgram, types: ProgramTypes): Correlation {
  const found: Correlation = {
    pairs: new Map(),
    added: new Set(identified(fresh)),
    removed: new Set(identified(old)),
    ambiguous: [],
    byOrder: [],
    families: [],
    oldUsers: new UserIndex(old),
    freshUsers: new UserIndex(fresh),
  };
  pairFamilies(found, types);
  pairByKey(found, (section) => `${categoryOf(section)} ${section.object.path} ${sectionName(section)}`);
  // A global that moved to another file.
  pairByKey(found, (section) =>
    section.primary && isGlobal(section.primary)
      ? `${categoryOf(section)} ${section.primary.name}`
      : undefined,
  );
  pairMoved(found);
  return found;
}

function sectionName(section: InputSection): string {
  return section.primary?.name ?? `section ${section.header.name}`;
}

/** The same file and name; a static that became global (or the reverse) included. */
function pairByKey(found: Correlation, keyOf: (section: InputSection) => string | undefined): void {
  const candidates = new Map<string, InputSection>();
  for (const section of found.removed) {
    const key = keyOf(section);
    if (key !== undefined && !candidates.has(key) && !isNumbered(section)) candidates.set(key, section);
  }
  for (const section of found.added) {
    const key = keyOf(section);
    const match = key === undefined || isNumbered(section) ? undefined : candidates.get(key);
    if (match !== undefined && found.removed.has(match)) pair(found, match, section);
  }
}

/** What has been looked at with its family already. */
const isNumbered = ({ primary }: InputSection) =>
  primary !== undefined && familyOf(primary.name) !== primary.name;

/** A static function that moved to another file: there is only one of that name and content. */
function pairMoved(found: Correlation): void {
  const groupsOf = (sections: Iterable<InputSection>) => {
    const groups = new Map<string, InputSection[]>();
    for (const section of sections) {
      if (section.kind !== 'code' || !section.primary || isGlobal(section.primary)) continue;
      const key = `${familyOf(section.primary.name)} ${fingerprint(section)}`;
      groups.set(key, [...(groups.get(key) ?? []), section]);
    }
    return groups;
  };
  const oldGroups = groupsOf(found.removed);
  for (const [key, [fresh, ...others]] of groupsOf(found.added)) {
    const [old, ...oldOthers] = oldGroups.get(key) ?? [];
    if (old && fresh && others.length === 0 && oldOthers.length === 0) pair(found, old, fresh);
  }
}

/** Symbols of each family: with numbers, or beside one that has a number. */
function pairFamilies(found: Correlation, types: ProgramTypes): void {
  const oldFamilies = familiesOf(found.removed);
  const freshFamilies = familiesOf(found.added);
  for (const [key, fresh] of freshFamilies) {
    const old = oldFamilies.get(key) ?? [];
    if (![...old, ...fresh].some(isNumbered) || old.length === 0) continue;
    const isCpp = fresh[0]!.primary!.name.startsWith('_Z');
    if (key.startsWith('code ') && isCpp) pairFunctions(found, { old, fresh });
    else if (key.startsWith('code ')) pairClones(found, old, fresh);
    else if (!pairStatics(found, old, fresh, types)) {
      const section = fresh[0]!;
      found.ambiguous.push(
        `${section.primary!.name} in ${section.object.path}: cannot tell which static variable of the running ` +
          'program it is',
      );
    }
  }
}

function familiesOf(sections: Iterable<InputSection>): Map<string, InputSection[]> {
  const families = new Map<string, InputSection[]>();
  for (const section of sections) {
    if (!section.primary) continue;
    const place = isGlobal(section.primary) ? '' : section.object.path;
    const key = `${categoryOf(section)} ${place} ${familyOf(section.primary.name)}`;
    families.set(key, [...(families.get(key) ?? []), section]);
  }
  return families;
}

/**
 * Closures, and what belongs to local classes, keep their order. That this is right is looked at when it is known which of
 * them changed (`function-families.ts`).
 */
function pairFunctions(found: Correlation, { old, fresh }: FunctionFamily): void {
  const inOrder = (sections: InputSection[]) =>
    sections.sort((a, b) => byNumber(a.primary!.name, b.primary!.name));
  const family = { old: inOrder(old), fresh: inOrder(fresh) };
  found.families.push(family);
  for (const [index, section] of family.fresh.entries()) {
    const other = family.old[index];
    if (other !== undefined) pair(found, other, section);
  }
}

/**
 * The compiler's clones of one function are called by name only, and their callers are compared by which of them they
 * call: any one-to-one match is sound. The best one replaces least: equal content first, then order.
 */
function pairClones(found: Correlation, oldGroup: InputSection[], freshGroup: InputSection[]): void {
  const oldLeft = [...oldGroup];
  const freshLeft: InputSection[] = [];
  for (const section of freshGroup) {
    const same = oldLeft.findIndex((candidate) => fingerprint(candidate) === fingerprint(section));
    if (same < 0) freshLeft.push(section);
    else pair(found, oldLeft.splice(same, 1)[0]!, section);
  }
  for (const section of freshLeft) {
    const next = oldLeft.shift();
    if (next !== undefined) pair(found, next, section);
  }
}
