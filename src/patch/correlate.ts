import { createHash } from 'node:crypto';
import { isGlobal, SHT } from '../elf/index.js';
import { type InputObject, type InputProgram, type InputSection, isDiscarded } from './input-program.js';
import { referenceOf } from './references.js';

export interface Correlation {
  /** From sections of the new build to their counterparts in the old. */
  pairs: Map<InputSection, InputSection>;
  /** Sections of the new build that the old one has no counterpart of. */
  added: InputSection[];
  /** Sections of the old build that the new one has no counterpart of. */
  removed: InputSection[];
  /** Statics that cannot be told apart: a patch that guessed could give one the value of another. */
  ambiguous: string[];
}

/** gcc and clang number what shares a name: `n.0` (static in a function), `f.part.0`, `f.constprop.1.cold`. */
const NUMBER = /\.\d+(?=\.|$)/g;
const CLONE_SUFFIX = /\.(cold|part|isra|constprop|lto_priv|llvm|localalias|#)(?=\.|$)/g;

const withoutNumbers = (name: string) => name.replace(NUMBER, '.#');

/** The source's name for the function a clone was made of. */
export function originOf(name: string): string {
  return withoutNumbers(name).replace(CLONE_SUFFIX, '');
}

type Category = 'code' | 'data' | 'tls';

function categoryOf(section: InputSection): Category | undefined {
  if (section.kind === 'code' || section.kind === 'tls') return section.kind;
  return section.kind === 'variable' || section.kind === 'constant' ? 'data' : undefined;
}

/** Every section that has an identity and that the linker keeps. */
function identified(program: InputProgram): InputSection[] {
  return [...program.objects.values()]
    .flatMap((object) => object.sections)
    .filter((section) => categoryOf(section) !== undefined && !isDiscarded(section, program));
}

export function correlate(old: InputProgram, fresh: InputProgram): Correlation {
  const pairs = new Map<InputSection, InputSection>();
  const oldLeft = new Set(identified(old));
  const freshLeft = new Set(identified(fresh));
  const pair = (a: InputSection, b: InputSection) => {
    pairs.set(b, a);
    oldLeft.delete(a);
    freshLeft.delete(b);
  };
  const pairByKey = (keyOf: (section: InputSection) => string | undefined) => {
    const candidates = new Map<string, InputSection>();
    for (const section of oldLeft) {
      const key = keyOf(section);
      if (key !== undefined && !candidates.has(key)) candidates.set(key, section);
    }
    for (const section of freshLeft) {
      const key = keyOf(section);
      const match = key === undefined ? undefined : candidates.get(key);
      if (match !== undefined && oldLeft.has(match)) pair(match, section);
    }
  };

  // The same file and name; a static that became global (or the reverse) included.
  pairByKey((section) => {
    const name = section.primary?.name ?? `section ${section.header.name}`;
    const isNumbered = section.primary !== undefined && !isGlobal(section.primary) && hasNumber(name);
    return isNumbered ? undefined : `${categoryOf(section)} ${section.object.path} ${name}`;
  });
  // A global that moved to another file.
  pairByKey((section) =>
    section.primary && isGlobal(section.primary)
      ? `${categoryOf(section)} ${section.primary.name}`
      : undefined,
  );
  const ambiguous = pairNumbered(old, fresh, oldLeft, freshLeft, pair);
  return { pairs, added: [...freshLeft], removed: [...oldLeft], ambiguous };
}

const hasNumber = (name: string) => withoutNumbers(name) !== name;

function pairNumbered(
  old: InputProgram,
  fresh: InputProgram,
  oldLeft: ReadonlySet<InputSection>,
  freshLeft: ReadonlySet<InputSection>,
  pair: (old: InputSection, fresh: InputSection) => void,
): string[] {
  const ambiguous: string[] = [];
  const groupsOf = (sections: Iterable<InputSection>) => {
    const groups = new Map<string, InputSection[]>();
    for (const section of sections) {
      if (!section.primary || !hasNumber(section.primary.name)) continue;
      const key = `${categoryOf(section)} ${section.object.path} ${withoutNumbers(section.primary.name)}`;
      groups.set(key, [...(groups.get(key) ?? []), section]);
    }
    return groups;
  };
  const oldGroups = groupsOf(oldLeft);
  const oldUsers = new UserIndex(old);
  const freshUsers = new UserIndex(fresh);
  for (const [key, freshGroup] of groupsOf(freshLeft)) {
    const oldGroup = oldGroups.get(key);
    if (oldGroup === undefined) continue;
    if (key.startsWith('code ')) pairClones(oldGroup, freshGroup, pair);
    else if (!pairStatics(oldGroup, freshGroup, oldUsers, freshUsers, pair)) {
      const section = freshGroup[0]!;
      ambiguous.push(
        `${section.primary!.name} in ${section.object.path}: cannot tell which static variable of the running ` +
          'program it is, because other functions use it now',
      );
    }
  }
  return ambiguous;
}

/** Any one-to-one match of functions is sound; the best one replaces least: equal content first, then order. */
function pairClones(
  oldGroup: InputSection[],
  freshGroup: InputSection[],
  pair: (old: InputSection, fresh: InputSection) => void,
): void {
  const oldLeft = [...oldGroup];
  const freshLeft: InputSection[] = [];
  for (const section of freshGroup) {
    const same = oldLeft.findIndex((candidate) => fingerprint(candidate) === fingerprint(section));
    if (same < 0) freshLeft.push(section);
    else pair(oldLeft.splice(same, 1)[0]!, section);
  }
  for (const section of freshLeft) {
    const next = oldLeft.shift();
    if (next !== undefined) pair(next, section);
  }
}

/**
 * Static variables of one name, told apart by the functions that use them, then by size and initial content.
 * Returns false when that leaves a doubt.
 */
function pairStatics(
  oldGroup: InputSection[],
  freshGroup: InputSection[],
  oldUsers: UserIndex,
  freshUsers: UserIndex,
  pair: (old: InputSection, fresh: InputSection) => void,
): boolean {
  const oldLeft = new Set(oldGroup);
  const freshLeft = new Set(freshGroup);
  const take = (old: InputSection, fresh: InputSection) => {
    pair(old, fresh);
    oldLeft.delete(old);
    freshLeft.delete(fresh);
  };
  const agree = [
    (a: InputSection, b: InputSection) =>
      sameSet(oldUsers.of(a), freshUsers.of(b)) && fingerprint(a) === fingerprint(b),
    (a: InputSection, b: InputSection) => sameSet(oldUsers.of(a), freshUsers.of(b)),
    (a: InputSection, b: InputSection) => [...oldUsers.of(a)].some((user) => freshUsers.of(b).has(user)),
  ];
  for (const matches of agree) {
    for (const section of freshLeft) {
      const candidates = [...oldLeft].filter((candidate) => matches(candidate, section));
      const rivals = [...freshLeft].filter((rival) => candidates[0] && matches(candidates[0], rival));
      // Several statics of one name in one function: as many as before keep their order.
      if (candidates.length > 0 && candidates.length === rivals.length) take(candidates[0]!, section);
    }
  }
  if (freshLeft.size === 0 || oldLeft.size === 0) return true;
  // Different variables for sure only if their users are functions of both builds: otherwise inlining may
  // have moved the use from one function into another.
  return (
    [...freshLeft].every((section) => isSubset(freshUsers.of(section), oldUsers.functions)) &&
    [...oldLeft].every((section) => isSubset(oldUsers.of(section), freshUsers.functions))
  );
}

const isSubset = (a: ReadonlySet<string>, b: ReadonlySet<string>) => [...a].every((member) => b.has(member));
const sameSet = (a: ReadonlySet<string>, b: ReadonlySet<string>) => a.size === b.size && isSubset(a, b);

function fingerprint(section: InputSection): string {
  const shape = `${section.header.size} ${section.header.type === SHT.NOBITS} ${section.relocations.length} `;
  return shape + createHash('sha256').update(section.bytes).digest('hex');
}

/** Which functions (by their names in the source) refer to a section. */
class UserIndex {
  readonly functions = new Set<string>();
  readonly #program: InputProgram;
  readonly #users = new Map<InputObject, Map<InputSection, Set<string>>>();

  constructor(program: InputProgram) {
    this.#program = program;
    for (const object of program.objects.values()) {
      for (const section of object.sections) {
        if (section.kind === 'code' && section.primary) this.functions.add(originOf(section.primary.name));
      }
    }
  }

  of(section: InputSection): ReadonlySet<string> {
    return this.#usersIn(section.object).get(section) ?? new Set();
  }

  #usersIn(object: InputObject): Map<InputSection, Set<string>> {
    let users = this.#users.get(object);
    if (users === undefined) {
      users = new Map();
      this.#users.set(object, users);
      for (const user of object.sections) {
        if (user.primary === undefined) continue;
        for (const relocation of user.relocations) {
          const reference = referenceOf(user, relocation, this.#program);
          if (reference.kind !== 'section') continue;
          const names = users.get(reference.section) ?? new Set();
          users.set(reference.section, names.add(originOf(user.primary.name)));
        }
      }
    }
    return users;
  }
}
