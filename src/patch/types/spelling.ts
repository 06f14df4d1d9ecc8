import { type DebugEntry, DW_AT, DW_TAG } from './debug-entries.js';
import { AGGREGATES, type ObjectTypes, POINTERS } from './object-types.js';

const MAXIMUM_DEPTH = 16;

const QUALIFIERS = new Map<number, string>([
  [DW_TAG.const_type, 'const '],
  [DW_TAG.volatile_type, 'volatile '],
  [DW_TAG.atomic_type, '_Atomic '],
]);

/** A type as its source would spell it, more or less. */
export function spell(types: ObjectTypes, type: DebugEntry | undefined, depth = 0): string {
  if (type === undefined) return 'void';
  if (depth > MAXIMUM_DEPTH) return '...';
  const { tag } = type;
  const inner = () => types.typeOf(type);
  const keyword = AGGREGATES.get(tag) ?? (tag === DW_TAG.enumeration_type ? 'enum' : undefined);
  if (keyword !== undefined) return `${keyword} ${types.qualifiedName(type) ?? '{...}'}`;
  const qualifier = QUALIFIERS.get(tag);
  if (qualifier !== undefined) return qualifier + spell(types, inner(), depth + 1);
  if (tag === DW_TAG.restrict_type) return spell(types, inner(), depth + 1);
  if (POINTERS.has(tag)) {
    const pointee = types.bare(inner());
    if (pointee?.tag === DW_TAG.subroutine_type) return spellFunction(types, pointee, depth);
    const mark = tag === DW_TAG.pointer_type ? '*' : tag === DW_TAG.ptr_to_member_type ? '::*' : '&';
    return `${spell(types, inner(), depth + 1)} ${mark}`.replaceAll('* *', '**');
  }
  if (tag === DW_TAG.array_type) {
    const bounds = boundsOf(type).map((bound) => `[${bound ?? ''}]`);
    return spell(types, inner(), depth + 1) + bounds.join('');
  }
  return types.nameOf(type) ?? 'unnamed type';
}

function spellFunction(types: ObjectTypes, type: DebugEntry, depth: number): string {
  const parameters = type.children.filter(({ tag }) => tag === DW_TAG.formal_parameter);
  const list = parameters.map((parameter) => spell(types, types.typeOf(parameter), depth + 1));
  return `${spell(types, types.typeOf(type), depth + 1)} (*)(${list.join(', ')})`;
}

/** How many elements each dimension of an array has; undefined where the type does not say. */
export function boundsOf(array: DebugEntry): (number | undefined)[] {
  return array.children
    .filter(({ tag }) => tag === DW_TAG.subrange_type)
    .map(({ attributes }) => {
      const count = attributes.get(DW_AT.count);
      if (typeof count === 'number') return count;
      const upper = attributes.get(DW_AT.upper_bound);
      return typeof upper === 'number' ? upper + 1 : undefined;
    });
}
