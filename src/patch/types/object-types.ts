import type { ElfFile, ElfSymbol } from '../../elf/index.js';
import { isDefined } from '../../elf/index.js';
import { type DebugEntry, type DebugInformation, DW_AT, DW_TAG, readDebugEntries } from './debug-entries.js';

export const AGGREGATES = new Map<number, 'struct' | 'union'>([
  [DW_TAG.structure_type, 'struct'],
  [DW_TAG.class_type, 'struct'],
  [DW_TAG.union_type, 'union'],
]);

export const POINTERS = new Set<number>([
  DW_TAG.pointer_type,
  DW_TAG.reference_type,
  DW_TAG.rvalue_reference_type,
  DW_TAG.ptr_to_member_type,
]);

/** What only renames or qualifies another type. */
const TRANSPARENT = new Set<number>([
  DW_TAG.typedef,
  DW_TAG.const_type,
  DW_TAG.volatile_type,
  DW_TAG.restrict_type,
  DW_TAG.atomic_type,
]);

const NAMED_TYPES = new Set<number>([...AGGREGATES.keys(), DW_TAG.enumeration_type, DW_TAG.typedef]);

/** `DW_LANG_C_plus_plus`, and those of 2003, 2011, 2014, 2017 and 2020. */
const CPP_LANGUAGES = new Set([0x04, 0x19, 0x1a, 0x21, 0x2a, 0x2b]);

/** Types nest a few levels deep; only damaged information makes them circular. */
const MAXIMUM_DEPTH = 64;

/** What the debugging information of one object file declares. */
export class ObjectTypes {
  /** Types outside of functions, by qualified name with their keyword: the complete ones. */
  readonly named = new Map<string, DebugEntry>();
  /** Types inside of functions, by the function's name in the object file and their own. */
  readonly local = new Map<string, DebugEntry>();
  readonly enumerations: DebugEntry[] = [];
  readonly #pointers: DebugEntry[] = [];
  #pointedTo: Set<DebugEntry> | undefined;
  readonly #information: DebugInformation;
  readonly #variables = new Map<string, DebugEntry>();
  /** Variables outside of functions, by name. */
  readonly outermost = new Map<string, DebugEntry>();
  readonly #absent = new Set<string>();
  readonly #functions = new Map<string, DebugEntry>();

  private constructor(information: DebugInformation) {
    this.#information = information;
    for (const entry of information.byOffset.values()) this.#index(entry);
  }

  /** `undefined` when the object file has no debugging information. */
  static read(elf: ElfFile): ObjectTypes | undefined {
    const information = readDebugEntries(elf);
    return information && new ObjectTypes(information);
  }

  /** The entry of the variable or function that a symbol stands for. */
  declarationOf(symbol: ElfSymbol): DebugEntry | undefined {
    const key = isDefined(symbol) ? `${symbol.section}+${symbol.value}` : symbol.name;
    return this.#variables.get(key) ?? this.#functions.get(key);
  }

  /** True of a type that something points to: its objects can live longer than a function's frame. */
  isPointedTo(type: DebugEntry): boolean {
    this.#pointedTo ??= new Set(this.#pointers.flatMap((entry) => this.bare(this.typeOf(entry)) ?? []));
    return this.#pointedTo.has(type);
  }

  get isCpp(): boolean {
    return this.#information.units.some(({ attributes }) =>
      CPP_LANGUAGES.has(Number(attributes.get(DW_AT.language))),
    );
  }

  /** True of a variable outside of functions that the source has and the object file does without. */
  isAbsent(name: string): boolean {
    return this.#absent.has(name);
  }

  typeOf(entry: DebugEntry): DebugEntry | undefined {
    return this.#follow(this.#holder(entry, DW_AT.type), DW_AT.type);
  }

  /** An attribute of an entry, or of the declaration or inlined function that it completes. */
  attribute(entry: DebugEntry, attribute: number): unknown {
    return this.#holder(entry, attribute)?.attributes.get(attribute);
  }

  nameOf(entry: DebugEntry): string | undefined {
    const name = this.attribute(entry, DW_AT.name);
    return typeof name === 'string' ? name : undefined;
  }

  /** The type without the names and qualifiers that mean nothing to memory. */
  bare(type: DebugEntry | undefined): DebugEntry | undefined {
    let entry = type;
    for (let depth = 0; entry !== undefined && TRANSPARENT.has(entry.tag); depth++) {
      if (depth > MAXIMUM_DEPTH) return undefined;
      entry = this.typeOf(entry);
    }
    return entry && this.#complete(entry);
  }

  /** The last name of a type that has none of its own: `typedef struct { … } name`. */
  typedefOf(type: DebugEntry | undefined): string | undefined {
    let found: string | undefined;
    let entry = type;
    for (let depth = 0; entry !== undefined && TRANSPARENT.has(entry.tag); depth++) {
      if (depth > MAXIMUM_DEPTH) return undefined;
      if (entry.tag === DW_TAG.typedef) found = this.qualifiedName(entry) ?? found;
      entry = this.typeOf(entry);
    }
    return found;
  }

  /** With namespaces, classes and functions around it; undefined for what has no name. */
  qualifiedName(entry: DebugEntry): string | undefined {
    const name = this.nameOf(entry);
    return name === undefined ? undefined : this.#scopeOf(entry) + name;
  }

  /** How the object file calls a function. */
  linkageName(entry: DebugEntry): string | undefined {
    const name =
      this.attribute(entry, DW_AT.linkage_name) ??
      this.attribute(entry, DW_AT.MIPS_linkage_name) ??
      this.nameOf(entry);
    return typeof name === 'string' ? name : undefined;
  }

  /** The entry that an inlined or cloned function is an instance of. */
  originOf(entry: DebugEntry): DebugEntry {
    let origin = entry;
    for (let depth = 0; depth < MAXIMUM_DEPTH; depth++) {
      const next = this.#follow(origin, DW_AT.abstract_origin) ?? this.#follow(origin, DW_AT.specification);
      if (next === undefined) break;
      origin = next;
    }
    return origin;
  }

  /** Where a variable was declared: the function around it, or none. */
  functionAround(entry: DebugEntry): DebugEntry | undefined {
    let scope = this.originOf(entry).parent;
    while (scope !== undefined && scope.tag !== DW_TAG.subprogram) scope = scope.parent;
    return scope;
  }

  #holder(entry: DebugEntry, attribute: number): DebugEntry | undefined {
    let holder: DebugEntry | undefined = entry;
    for (let depth = 0; holder !== undefined && depth < MAXIMUM_DEPTH; depth++) {
      if (holder.attributes.has(attribute)) return holder;
      holder = this.#follow(holder, DW_AT.abstract_origin) ?? this.#follow(holder, DW_AT.specification);
    }
    return undefined;
  }

  #follow(entry: DebugEntry | undefined, attribute: number): DebugEntry | undefined {
    const offset = entry?.attributes.get(attribute);
    return typeof offset === 'number' ? this.#information.byOffset.get(offset) : undefined;
  }

  /** Of a type that is only declared here, and defined elsewhere in the object file or in a unit of its own. */
  #complete(entry: DebugEntry): DebugEntry {
    if (!entry.attributes.has(DW_AT.declaration)) return entry;
    const elsewhere = this.#follow(entry, DW_AT.signature);
    if (elsewhere !== undefined) return elsewhere;
    const name = this.qualifiedName(entry);
    return (name === undefined ? undefined : this.named.get(keyed(entry, name))) ?? entry;
  }

  #scopeOf(entry: DebugEntry): string {
    let scope = '';
    for (let at = this.originOf(entry).parent; at !== undefined; at = at.parent) {
      if (at.tag === DW_TAG.namespace || AGGREGATES.has(at.tag)) {
        scope = `${this.nameOf(at) ?? '(anonymous)'}::${scope}`;
      } else if (at.tag === DW_TAG.subprogram) {
        return `${this.linkageName(at) ?? '(anonymous)'}()::${scope}`;
      }
    }
    return scope;
  }

  #index(entry: DebugEntry): void {
    const { tag, attributes } = entry;
    if (tag === DW_TAG.variable) {
      const place = attributes.get(DW_AT.location);
      if (typeof place === 'object') this.#variables.set(placeKey(place), entry);
      if (!isOutermost(entry) || attributes.has(DW_AT.declaration)) return;
      const name = this.nameOf(entry) ?? '';
      this.outermost.set(name, entry);
      if (place === undefined) this.#absent.add(name);
    } else if (tag === DW_TAG.subprogram) {
      const place = attributes.get(DW_AT.low_pc);
      if (typeof place === 'object') this.#functions.set(placeKey(place), entry);
    } else if (POINTERS.has(tag)) {
      this.#pointers.push(entry);
    } else if (NAMED_TYPES.has(tag) && !attributes.has(DW_AT.declaration)) {
      if (tag === DW_TAG.enumeration_type) this.enumerations.push(entry);
      const name = this.qualifiedName(entry);
      if (name === undefined) return;
      const types = this.functionAround(entry) === undefined ? this.named : this.local;
      let key = keyed(entry, name);
      // Blocks of one function may each have a type of that name.
      while (types === this.local && types.has(key)) key += "'";
      if (!types.has(key)) types.set(key, entry);
    }
  }
}

const isOutermost = ({ parent }: DebugEntry) => parent?.tag === DW_TAG.compile_unit;

function placeKey(place: {
  section: number | undefined;
  offset: number;
  symbol: string | undefined;
}): string {
  return place.section === undefined ? (place.symbol ?? '') : `${place.section}+${place.offset}`;
}

/** `struct pair`, `union u`, `enum e`; `type t` for a typedef. */
function keyed({ tag }: DebugEntry, name: string): string {
  const keyword = AGGREGATES.get(tag) ?? (tag === DW_TAG.enumeration_type ? 'enum' : 'type');
  return `${keyword} ${name}`;
}
