import { isGlobal } from '../elf/index.js';
import { Comparison } from './compare.js';
import type { InputProgram, InputSection } from './input-program.js';

/**
 * A `const` object of one file that has other content in the new build becomes a new thing, which the patch carries:
 * so every function that uses it counts as changed, and a variable that points to it refuses the patch. The old
 * one stays for the old code.
 *
 * Not so with tables of functions: programs keep their addresses in objects, and compare them.
 *
 * @param pairs loses what becomes new
 * @returns what has become new
 */
export function releaseChangedConstants(
  old: InputProgram,
  fresh: InputProgram,
  pairs: Map<InputSection, InputSection>,
): InputSection[] {
  const released: InputSection[] = [];
  for (;;) {
    const comparison = new Comparison(old, fresh, pairs);
    // Constants that point to what was released before are other ones, too.
    const changed = [...pairs].filter(
      ([section, counterpart]) =>
        isPrivateConstant(section) &&
        isPrivateConstant(counterpart) &&
        !comparison.sameContent(counterpart, section),
    );
    if (changed.length === 0) return released;
    for (const [section] of changed) {
      pairs.delete(section);
      released.push(section);
    }
  }
}

function isPrivateConstant({ kind, primary, isShared, relocations, object }: InputSection): boolean {
  if (kind !== 'constant' || primary === undefined || isGlobal(primary) || isShared) return false;
  return relocations.every(({ symbol }) => {
    const target = object.elf.symbols[symbol]!;
    return !isGlobal(target) && object.sections[target.section]?.kind !== 'code';
  });
}
