import { type DebugEntry, DW_AT, DW_TAG } from './debug-entries.js';
import type { ObjectTypes } from './object-types.js';

interface Enumerator {
  value: number;
  /** `enum state`; one without a name is called by its first enumerator. */
  of: string;
}

/** What stored values of enumerations would be taken for by the new code; one text for each enumeration. */
export function renumbered(old: ObjectTypes, fresh: ObjectTypes): string[] {
  const before = enumeratorsOf(old);
  const after = enumeratorsOf(fresh);
  const changes = new Map<string, string[]>();
  const note = (of: string, text: string) => changes.set(of, [...(changes.get(of) ?? []), text]);
  for (const [name, { value, of }] of after) {
    const known = before.get(name);
    if (known !== undefined && known.value !== value) note(of, `${name} was ${known.value} and is ${value}`);
  }
  for (const [name, { value, of }] of after) {
    if (before.has(name)) continue;
    const gone = [...before].find(
      ([other, known]) => known.of === of && known.value === value && !after.has(other),
    );
    if (gone !== undefined) note(of, `${value} was ${gone[0]} and is ${name}`);
  }
  return [...changes].map(([of, texts]) => `${of}: ${texts.join(', ')}`);
}

function enumeratorsOf(types: ObjectTypes): Map<string, Enumerator> {
  const found = new Map<string, Enumerator>();
  for (const enumeration of types.enumerations) {
    const name = types.qualifiedName(enumeration);
    const scope = name === undefined ? '' : name.slice(0, name.lastIndexOf('::') + 1);
    const first = enumeration.children.find(({ tag }) => tag === DW_TAG.enumerator);
    if (first === undefined) continue;
    const of = name === undefined ? `the enumeration of ${types.nameOf(first)}` : `enum ${name}`;
    for (const child of enumeration.children) {
      const value = child.attributes.get(DW_AT.const_value);
      const own = types.nameOf(child);
      if (child.tag !== DW_TAG.enumerator || typeof value !== 'number' || own === undefined) continue;
      found.set(scopedName(enumeration, name, scope, own), { value, of });
    }
  }
  return found;
}

/** Enumerators of a plain `enum` live in the scope around it, those of an `enum class` in it. */
function scopedName(
  { attributes }: DebugEntry,
  name: string | undefined,
  scope: string,
  own: string,
): string {
  return attributes.has(DW_AT.enum_class) ? `${name ?? ''}::${own}` : scope + own;
}
