import { createHash } from 'node:crypto';
import { SHT } from '../elf/index.js';
import { type Correlation, pair } from './correlation.js';
import type { InputProgram, InputSection } from './input-program.js';
import { type Reference, referenceOf } from './references.js';
import { originOf } from './symbol-names.js';
import { spell } from './types/spelling.js';
import type { ProgramTypes } from './types/program-types.js';

/**
 * Static variables of one name, told apart by the function that declares them (debugging information says it), or by the
 * functions that use them; then by type, size and initial content. Returns false when that leaves a doubt.
 */
export function pairStatics(
  found: Correlation,
  oldGroup: readonly InputSection[],
  freshGroup: readonly InputSection[],
  types: ProgramTypes,
): boolean {
  const everybody = [...oldGroup, ...freshGroup];
  const scopes = new Map(everybody.map((section) => [section, declaredIn(section, types)]));
  const pairing = new Pairing(found, oldGroup, freshGroup, types);
  if (everybody.every((section) => scopes.get(section) !== undefined)) {
    return pairing.match((a, b) => scopes.get(a) === scopes.get(b));
  }
  if (everybody.every((section) => isFragment(section, types))) {
    return pairing.match((a, b) => a.primary!.name === b.primary!.name);
  }
  const { oldUsers, freshUsers } = found;
  const isCertain =
    pairing.match((a, b) => sameSet(oldUsers.of(a), freshUsers.of(b))) &&
    pairing.match((a, b) => [...oldUsers.of(a)].some((user) => freshUsers.of(b).has(user)));
  if (!isCertain) return false;
  const { oldLeft, freshLeft } = pairing;
  if (freshLeft.size === 0 || oldLeft.size === 0) return true;
  // Different variables for sure only if their users are functions of both builds: otherwise inlining may
  // have moved the use from one function into another.
  return (
    [...freshLeft].every((section) => isSubset(freshUsers.of(section), oldUsers.functions)) &&
    [...oldLeft].every((section) => isSubset(oldUsers.of(section), freshUsers.functions))
  );
}

/** The function that declares a variable; empty outside of functions, undefined where nothing says it. */
function declaredIn(section: InputSection, types: ProgramTypes): string | undefined {
  const known = types.of(section.object);
  const entry = section.primary && known?.declarationOf(section.primary);
  if (known === undefined || entry === undefined) return undefined;
  const around = known.functionAround(entry);
  return around === undefined ? '' : known.linkageName(around);
}

/** clang makes `v.0` and `v.1` of the members of a variable: these numbers say what they are. */
function isFragment({ object, primary }: InputSection, types: ProgramTypes): boolean {
  const [name, ...rest] = primary!.name.split('.');
  return rest.length === 1 && (types.of(object)?.outermost.has(name!) ?? false);
}

class Pairing {
  readonly oldLeft: Set<InputSection>;
  readonly freshLeft: Set<InputSection>;
  readonly #found: Correlation;
  readonly #types: ProgramTypes;

  constructor(
    found: Correlation,
    old: readonly InputSection[],
    fresh: readonly InputSection[],
    types: ProgramTypes,
  ) {
    this.oldLeft = new Set(old);
    this.freshLeft = new Set(fresh);
    this.#found = found;
    this.#types = types;
  }

  /** Pairs those that belong together by `agree`; false when several of them could be one. */
  match(agree: (old: InputSection, fresh: InputSection) => boolean): boolean {
    for (const section of [...this.freshLeft]) {
      if (!this.freshLeft.has(section)) continue;
      const olds = [...this.oldLeft].filter((candidate) => agree(candidate, section));
      const [first] = olds;
      if (first === undefined) continue;
      const rivals = [...this.freshLeft].filter((rival) => agree(first, rival));
      if (!this.#matchAlike(olds, rivals)) return false;
    }
    return true;
  }

  /** Several of one function: of different kinds, they are told apart by that; of one kind, by their order. */
  #matchAlike(olds: InputSection[], rivals: InputSection[]): boolean {
    if (olds.length === 1 && rivals.length === 1) {
      this.#take(olds[0]!, rivals[0]!);
      return true;
    }
    const shapes = new Set(rivals.map((section) => this.#shapeOf(section)));
    for (const shape of shapes) {
      const alike = rivals.filter((section) => this.#shapeOf(section) === shape);
      const others = olds.filter((section) => this.#shapeOf(section) === shape);
      if (others.length === 0) continue;
      if (alike.length !== others.length) return false;
      for (const [index, section] of alike.entries()) {
        const other = others[index]!;
        this.#take(other, section);
        if (alike.length > 1) this.#found.byOrder.push([other, section]);
      }
    }
    // What is left on both sides may be one variable of another type.
    const isLeft = (section: InputSection) => this.oldLeft.has(section) || this.freshLeft.has(section);
    return !(olds.some(isLeft) && rivals.some(isLeft));
  }

  #take(old: InputSection, fresh: InputSection): void {
    pair(this.#found, old, fresh);
    this.oldLeft.delete(old);
    this.freshLeft.delete(fresh);
  }

  #shapeOf(section: InputSection): string {
    const known = this.#types.of(section.object);
    const entry = section.primary && known?.declarationOf(section.primary);
    const type = known && entry ? spell(known, known.typeOf(entry)) : '';
    return `${type} ${section.kind} ${fingerprint(section)}`;
  }
}

const isSubset = (a: ReadonlySet<string>, b: ReadonlySet<string>) => [...a].every((member) => b.has(member));
const sameSet = (a: ReadonlySet<string>, b: ReadonlySet<string>) => a.size === b.size && isSubset(a, b);

/** Equal for sections of equal content, whatever they refer to. */
export function fingerprint(section: InputSection): string {
  const shape = `${section.header.size} ${section.header.type === SHT.NOBITS} ${section.relocations.length} `;
  return shape + createHash('sha256').update(section.bytes).digest('hex');
}

export type Users = Pick<UserIndex, 'functions' | 'of' | 'sectionsOf'>;

/** Which functions (by their names in the source) refer to a section. */
export class UserIndex {
  readonly functions = new Set<string>();
  readonly #program: InputProgram;
  #users: Map<InputSection | string, Set<InputSection>> | undefined;

  constructor(program: InputProgram) {
    this.#program = program;
    for (const object of program.objects.values()) {
      for (const section of object.sections) {
        if (section.kind === 'code' && section.primary) this.functions.add(originOf(section.primary.name));
      }
    }
  }

  /** Their names. */
  of(used: InputSection | string): ReadonlySet<string> {
    return new Set(this.sectionsOf(used).map((user) => originOf(user.primary!.name)));
  }

  /** The functions and variables that refer to a section, or to a common variable of that name. */
  sectionsOf(used: InputSection | string): InputSection[] {
    this.#users ??= this.#index();
    return [...(this.#users.get(used) ?? [])];
  }

  #index(): Map<InputSection | string, Set<InputSection>> {
    const users = new Map<InputSection | string, Set<InputSection>>();
    for (const { sections } of this.#program.objects.values()) {
      for (const user of sections) {
        if (user.primary === undefined) continue;
        for (const relocation of user.relocations) {
          const used = usedBy(referenceOf(user, relocation, this.#program));
          if (used === undefined) continue;
          const known = users.get(used);
          if (known === undefined) users.set(used, new Set([user]));
          else known.add(user);
        }
      }
    }
    return users;
  }
}

function usedBy(reference: Reference): InputSection | string | undefined {
  if (reference.kind === 'global') return reference.definition ?? reference.symbol.name;
  return reference.kind === 'section' ? reference.section : undefined;
}
