import type { ElfFile } from '../elf/index.js';
import { type DebugEntry, type DebugInformation, DW_AT, DW_TAG, readDebugEntries } from './debug-entries.js';

/** Structures, classes and unions of one object file by name: a text that is equal if and only if the layout is. */
export type TypeLayouts = ReadonlyMap<string, string>;

/** `undefined` when the object file has no debug information that we can read. */
export function readTypeLayouts(elf: ElfFile): TypeLayouts | undefined {
  const information = readDebugEntries(elf);
  return information && new LayoutCollector(information).collect();
}

/**
 * The types whose objects the running program may hold and the new code would misread. Types that only one
 * of the builds has, or that are local to a function, do not count.
 */
export function changedLayouts(old: TypeLayouts, fresh: TypeLayouts): string[] {
  return [...fresh].filter(([name, layout]) => (old.get(name) ?? layout) !== layout).map(([name]) => name);
}

const AGGREGATES = new Map<number, string>([
  [DW_TAG.structure_type, 'struct'],
  [DW_TAG.class_type, 'struct'],
  [DW_TAG.union_type, 'union'],
]);

const POINTERS = new Set<number>([
  DW_TAG.pointer_type,
  DW_TAG.reference_type,
  DW_TAG.rvalue_reference_type,
  DW_TAG.ptr_to_member_type,
]);

/** Types nest a few levels deep; only damaged information makes them circular. */
const MAXIMUM_DEPTH = 64;

class LayoutCollector {
  readonly #layouts = new Map<string, string>();
  readonly #information: DebugInformation;

  constructor(information: DebugInformation) {
    this.#information = information;
  }

  collect(): TypeLayouts {
    for (const unit of this.#information.units) this.#collectFrom(unit, '', 0);
    return this.#layouts;
  }

  #collectFrom(scope: DebugEntry, prefix: string, depth: number): void {
    if (depth > MAXIMUM_DEPTH) return;
    for (const entry of scope.children) {
      const name = text(entry, DW_AT.name);
      const keyword = AGGREGATES.get(entry.tag);
      if (keyword !== undefined && name !== undefined) {
        if (!entry.attributes.has(DW_AT.declaration)) {
          this.#layouts.set(`${keyword} ${prefix}${name}`, this.#aggregate(entry, depth));
        }
        this.#collectFrom(entry, `${prefix}${name}::`, depth + 1);
      } else if (entry.tag === DW_TAG.namespace) {
        this.#collectFrom(entry, `${prefix}${name ?? '(anonymous)'}::`, depth + 1);
      } else if (entry.tag === DW_TAG.typedef && name !== undefined) {
        const target = this.#typeOf(entry);
        const isUnnamed = target && AGGREGATES.has(target.tag) && !target.attributes.has(DW_AT.name);
        if (isUnnamed) this.#layouts.set(`type ${prefix}${name}`, this.#aggregate(target, depth));
      }
    }
  }

  #aggregate(entry: DebugEntry, depth: number): string {
    const fields = entry.children
      .filter(({ tag }) => tag === DW_TAG.member || tag === DW_TAG.inheritance)
      // Static members of a class have no place in its objects.
      .filter(({ attributes }) => !attributes.has(DW_AT.declaration))
      .map((field) => {
        const number = (attribute: number) => field.attributes.get(attribute) ?? '';
        const place = `${number(DW_AT.data_member_location)}.${number(DW_AT.data_bit_offset)}:${number(DW_AT.bit_size)}`;
        return `${text(field, DW_AT.name) ?? ''}@${place} ${this.#describe(this.#typeOf(field), depth + 1)}`;
      });
    return `${entry.attributes.get(DW_AT.byte_size) ?? '?'}{${fields.join(';')}}`;
  }

  /** What a member's type means for the layout of the whole: named aggregates are compared on their own. */
  #describe(entry: DebugEntry | undefined, depth: number): string {
    if (entry === undefined || depth > MAXIMUM_DEPTH) return 'void';
    const { tag } = entry;
    const name = text(entry, DW_AT.name);
    const size = entry.attributes.get(DW_AT.byte_size) ?? '';
    if (AGGREGATES.has(tag)) return name === undefined ? this.#aggregate(entry, depth) : `${name} ${size}`;
    if (POINTERS.has(tag)) return 'pointer';
    if (tag === DW_TAG.base_type) return `${size}/${entry.attributes.get(DW_AT.encoding) ?? ''}`;
    if (tag === DW_TAG.enumeration_type) return `enum ${size}`;
    const inner = this.#describe(this.#typeOf(entry), depth + 1);
    if (tag !== DW_TAG.array_type) return inner;
    const bounds = entry.children
      .filter((child) => child.tag === DW_TAG.subrange_type)
      .map(
        ({ attributes }) =>
          attributes.get(DW_AT.count) ?? Number(attributes.get(DW_AT.upper_bound) ?? -1) + 1,
      );
    return `${inner}[${bounds.join('][')}]`;
  }

  #typeOf(entry: DebugEntry): DebugEntry | undefined {
    const offset = entry.attributes.get(DW_AT.type);
    return typeof offset === 'number' ? this.#information.byOffset.get(offset) : undefined;
  }
}

function text(entry: DebugEntry, attribute: number): string | undefined {
  const value = entry.attributes.get(attribute);
  return typeof value === 'string' ? value : undefined;
}
