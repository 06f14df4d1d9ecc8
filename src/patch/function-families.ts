import type { Comparison } from './compare.js';
import type { FunctionFamily } from './correlation.js';
import type { Doubt } from './doubts.js';
import { nameOf } from './input-program.js';

/**
 * Lambdas and local classes of one function have only their order for a name, and closures of them are kept: a function
 * that takes another's place would be called with the captures of that one. Their order is taken for the right one when all of
 * them are as before; or all but one, and none was added or removed.
 */
export function doubtfulFamilies(families: readonly FunctionFamily[], comparison: Comparison): Doubt[] {
  return families.flatMap(({ old, fresh }) => {
    const common = Math.min(old.length, fresh.length);
    const changed = fresh
      .slice(0, common)
      .filter((section, index) => !comparison.sameContent(old[index]!, section));
    const isSame = old.length === fresh.length;
    if (changed.length === 0 || (isSame && changed.length === 1)) return [];
    const symbol = nameOf(changed[0]!);
    const what = isSame
      ? `${changed.length} of ${fresh.length} changed`
      : `there were ${old.length}, and are ${fresh.length}`;
    const text = `${symbol}: cannot tell which lambda or local class of the running program it belongs to (${what})`;
    return [{ kind: 'functions', symbol, text }];
  });
}
