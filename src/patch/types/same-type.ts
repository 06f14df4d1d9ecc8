import { type DebugEntry, DW_AT, DW_TAG } from './debug-entries.js';
import { AGGREGATES, type ObjectTypes, POINTERS } from './object-types.js';
import { boundsOf, spell } from './spelling.js';

/** Only damaged information nests deeper. */
const MAXIMUM_DEPTH = 64;

/** `DW_ATE_*`: plain, signed and unsigned characters are numbers to memory. */
const ENCODING = { boolean: 2, signed: 5, signedCharacter: 6, unsigned: 7, unsignedCharacter: 8 } as const;

interface AggregatePair {
  old: DebugEntry;
  fresh: DebugEntry;
  label: string;
}

/**
 * Decides whether memory that code of the old build wrote means the same to code of the new build. What is compared
 * begins at variables, parameters and names, and goes on through members and pointers. Structures and unions are
 * compared once for each pair; those that differ are collected in `changedLayouts`.
 */
export class TypeComparison {
  /** From what the type is called to what is different. */
  readonly changedLayouts = new Map<string, string>();
  readonly #pending: AggregatePair[] = [];
  readonly #known = new Map<DebugEntry, Set<DebugEntry>>();

  constructor(
    readonly old: ObjectTypes,
    readonly fresh: ObjectTypes,
  ) {}

  /** False when a value of the one type is no value of the other. Aggregates that they reach are noted for `settle`. */
  sameShape(old: DebugEntry | undefined, fresh: DebugEntry | undefined, depth = 0): boolean {
    if (depth > MAXIMUM_DEPTH) return false;
    const a = this.old.bare(old);
    const b = this.fresh.bare(fresh);
    if (a === undefined || b === undefined) return a === b;
    if (AGGREGATES.has(a.tag) && AGGREGATES.has(b.tag)) {
      return (
        AGGREGATES.get(a.tag) === AGGREGATES.get(b.tag) &&
        this.#sameAggregate(a, b, labelOf(this.fresh, fresh))
      );
    }
    if (POINTERS.has(a.tag) && POINTERS.has(b.tag)) return this.#samePointer(a, b, depth);
    if (isNumber(a) && isNumber(b)) return this.#sameNumber(a, b);
    if (a.tag !== b.tag) return false;
    if (a.tag === DW_TAG.array_type) {
      const sameBounds = boundsOf(a).join() === boundsOf(b).join();
      return sameBounds && this.sameShape(this.old.typeOf(a), this.fresh.typeOf(b), depth + 1);
    }
    if (a.tag === DW_TAG.subroutine_type) return this.#sameFunctionType(a, b, depth);
    return this.old.nameOf(a) === this.fresh.nameOf(b) && sizeOf(a) === sizeOf(b);
  }

  /** For values that do not outlive the change: only what they point to counts. */
  notePointees(old: DebugEntry | undefined, fresh: DebugEntry | undefined, depth = 0): void {
    if (depth > MAXIMUM_DEPTH) return;
    const a = this.old.bare(old);
    const b = this.fresh.bare(fresh);
    if (a === undefined || b === undefined || !POINTERS.has(a.tag) || !POINTERS.has(b.tag)) return;
    const [oldPointee, freshPointee] = [this.old.typeOf(a), this.fresh.typeOf(b)];
    const [c, d] = [this.old.bare(oldPointee), this.fresh.bare(freshPointee)];
    if (c !== undefined && d !== undefined && AGGREGATES.has(c.tag) && AGGREGATES.has(d.tag)) {
      this.#sameAggregate(c, d, labelOf(this.fresh, freshPointee));
    } else this.notePointees(oldPointee, freshPointee, depth + 1);
  }

  /** Compares two aggregates that bear one name. */
  noteAggregates(old: DebugEntry, fresh: DebugEntry, label: string): void {
    this.#note({ old, fresh, label });
  }

  /** Compares the layouts of everything that was noted, and of what that reaches in turn. */
  settle(): void {
    for (let pair = this.#pending.shift(); pair !== undefined; pair = this.#pending.shift()) {
      const difference = this.#layoutDifference(pair.old, pair.fresh, 0);
      if (difference !== undefined && !this.changedLayouts.has(pair.label)) {
        this.changedLayouts.set(pair.label, difference);
      }
    }
  }

  /** False for two types that both builds know: then the one is not the other, renamed. */
  #sameAggregate(old: DebugEntry, fresh: DebugEntry, label: string): boolean {
    const oldName = this.old.qualifiedName(old);
    const freshName = this.fresh.qualifiedName(fresh);
    const isRenamed = oldName !== undefined && freshName !== undefined && oldName !== freshName;
    const isIncomplete = [old, fresh].some(({ attributes }) => attributes.has(DW_AT.declaration));
    if (isIncomplete) return !isRenamed;
    if (isRenamed) {
      const keyword = AGGREGATES.get(old.tag)!;
      const stays = this.fresh.named.has(`${keyword} ${oldName}`);
      if (stays || this.old.named.has(`${keyword} ${freshName}`)) return false;
    }
    this.#note({ old, fresh, label: isRenamed ? `${label} (once ${oldName})` : label });
    return true;
  }

  #note(pair: AggregatePair): void {
    const known = this.#known.get(pair.old) ?? new Set();
    if (known.has(pair.fresh)) return;
    this.#known.set(pair.old, known.add(pair.fresh));
    this.#pending.push(pair);
  }

  #samePointer(old: DebugEntry, fresh: DebugEntry, depth: number): boolean {
    const [a, b] = [this.old.typeOf(old), this.fresh.typeOf(fresh)];
    const [bareA, bareB] = [this.old.bare(a), this.fresh.bare(b)];
    // Untyped memory can be anything, and bytes are bytes.
    if (bareA === undefined || bareB === undefined) return true;
    if (isByte(bareA) && isByte(bareB)) return true;
    return this.sameShape(a, b, depth + 1);
  }

  #sameNumber(a: DebugEntry, b: DebugEntry): boolean {
    if (sizeOf(a) !== sizeOf(b)) return false;
    const [encodingA, encodingB] = [encodingOf(a), encodingOf(b)];
    // The numbers of enumerators are compared on their own.
    return encodingA === undefined || encodingB === undefined || encodingA === encodingB;
  }

  #sameFunctionType(a: DebugEntry, b: DebugEntry, depth: number): boolean {
    const parametersOf = (type: DebugEntry) =>
      type.children.filter(({ tag }) => tag === DW_TAG.formal_parameter);
    const [first, second] = [parametersOf(a), parametersOf(b)];
    return (
      first.length === second.length &&
      this.#sameResult(a, b, depth) &&
      first.every((parameter, index) =>
        this.sameShape(this.old.typeOf(parameter), this.fresh.typeOf(second[index]!), depth + 1),
      )
    );
  }

  #sameResult(a: DebugEntry, b: DebugEntry, depth: number): boolean {
    return this.sameShape(this.old.typeOf(a), this.fresh.typeOf(b), depth + 1);
  }

  /** What is different about the layouts of two aggregates; undefined when nothing is. */
  #layoutDifference(old: DebugEntry, fresh: DebugEntry, depth: number): string | undefined {
    if (depth > MAXIMUM_DEPTH) return 'it nests too deeply';
    if (sizeOf(old) !== sizeOf(fresh)) return `${sizeOf(old)} bytes are ${sizeOf(fresh)} now`;
    const alignment = ({ attributes }: DebugEntry) => attributes.get(DW_AT.alignment) ?? 0;
    if (alignment(old) !== alignment(fresh)) return 'it is aligned otherwise';
    const oldFields = fieldsOf(this.old, old);
    const freshFields = fieldsOf(this.fresh, fresh);
    for (const [index, field] of freshFields.entries()) {
      const other = oldFields[index];
      if (other === undefined) return `${field.name} is new`;
      if (other.name !== field.name) return `${field.name} is where ${other.name} was`;
      if (other.place !== field.place) return `${field.name} moved`;
      const difference = this.#fieldDifference(other, field, depth);
      if (difference !== undefined) return difference;
    }
    return oldFields.length > freshFields.length
      ? `${oldFields[freshFields.length]!.name} is gone`
      : undefined;
  }

  #fieldDifference(old: Field, fresh: Field, depth: number): string | undefined {
    const [a, b] = [this.old.bare(old.type), this.fresh.bare(fresh.type)];
    const isInline = a !== undefined && b !== undefined && isUnnamed(this.old, a) && isUnnamed(this.fresh, b);
    // A structure without a name is part of the one around it.
    if (isInline && a.tag === b.tag && this.fresh.typedefOf(fresh.type) === undefined) {
      return this.#layoutDifference(a, b, depth + 1);
    }
    if (this.sameShape(old.type, fresh.type, depth + 1)) return undefined;
    const [before, after] = spellBoth(this, old.type, fresh.type);
    return `${fresh.name} was ${before} and is ${after}`;
  }
}

/** Two types that differ, spelled so that one sees it. */
export function spellBoth(
  { old, fresh }: { old: ObjectTypes; fresh: ObjectTypes },
  before: DebugEntry | undefined,
  after: DebugEntry | undefined,
): [string, string] {
  const [a, b] = [spell(old, before), spell(fresh, after)];
  return a === b ? [spell(old, old.bare(before)), spell(fresh, fresh.bare(after))] : [a, b];
}

interface Field {
  name: string;
  place: string;
  type: DebugEntry | undefined;
}

function fieldsOf(types: ObjectTypes, aggregate: DebugEntry): Field[] {
  return (
    aggregate.children
      .filter(({ tag }) => tag === DW_TAG.member || tag === DW_TAG.inheritance)
      // Static members of a class have no place in its objects.
      .filter(({ attributes }) => !attributes.has(DW_AT.declaration))
      .map((field) => ({
        name:
          types.nameOf(field) ?? (field.tag === DW_TAG.inheritance ? 'its base' : 'a member without a name'),
        place: placeOf(types, field),
        type: types.typeOf(field),
      }))
  );
}

/** Bytes from the start of the object, or for a bit-field its first bit and width. */
function placeOf(types: ObjectTypes, field: DebugEntry): string {
  const number = (attribute: number) => field.attributes.get(attribute);
  const location = number(DW_AT.data_member_location) ?? 0;
  const width = number(DW_AT.bit_size);
  // A virtual base is found by an expression.
  if (width === undefined || typeof location !== 'number') return `${location as number | string}`;
  const fromStart = number(DW_AT.data_bit_offset);
  if (typeof fromStart === 'number') return `${8 * location + fromStart}:${width as number}`;
  // DWARF 2 and 3 count from the most significant bit of a storage unit (DWARF 4, section 5.5.6).
  const storage = number(DW_AT.byte_size) ?? sizeOf(types.bare(types.typeOf(field)));
  const fromTop = number(DW_AT.bit_offset) ?? 0;
  return `${8 * (location + Number(storage)) - Number(fromTop) - Number(width)}:${width as number}`;
}

const sizeOf = (entry: DebugEntry | undefined): number =>
  Number(entry?.attributes.get(DW_AT.byte_size) ?? -1);

const isNumber = ({ tag }: DebugEntry) => tag === DW_TAG.base_type || tag === DW_TAG.enumeration_type;

/** Undefined for an enumeration: it fits every number of its size. */
function encodingOf(entry: DebugEntry): number | undefined {
  if (entry.tag === DW_TAG.enumeration_type) return undefined;
  const encoding = Number(entry.attributes.get(DW_AT.encoding) ?? -1);
  if (encoding === ENCODING.signedCharacter) return ENCODING.signed;
  return encoding === ENCODING.unsignedCharacter ? ENCODING.unsigned : encoding;
}

function isByte(entry: DebugEntry): boolean {
  const encoding = entry.tag === DW_TAG.base_type ? encodingOf(entry) : undefined;
  return sizeOf(entry) === 1 && (encoding === ENCODING.signed || encoding === ENCODING.unsigned);
}

const isUnnamed = (types: ObjectTypes, entry: DebugEntry) =>
  AGGREGATES.has(entry.tag) && types.nameOf(entry) === undefined;

/** What messages call an aggregate. */
function labelOf(types: ObjectTypes, type: DebugEntry | undefined): string {
  const bare = types.bare(type);
  if (bare !== undefined && !isUnnamed(types, bare)) return spell(types, bare);
  const name = types.typedefOf(type);
  return name === undefined ? spell(types, bare) : `type ${name}`;
}
