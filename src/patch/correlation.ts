/** Which section of the new build stands for which of the old one. */
import type { InputSection } from './input-program.js';
import type { Users } from './statics.js';

/** Functions that differ in numbers only, in the order of these. */
export interface FunctionFamily {
  old: InputSection[];
  fresh: InputSection[];
}

export interface Correlation {
  /** From sections of the new build to their counterparts in the old. */
  pairs: Map<InputSection, InputSection>;
  /** Sections of the new build that the old one has no counterpart of. */
  added: Set<InputSection>;
  /** Sections of the old build that the new one has no counterpart of. */
  removed: Set<InputSection>;
  /** Statics that cannot be told apart: a patch that guessed could give one the value of another. */
  ambiguous: string[];
  /**
   * Pairs that hold only if the functions that use them did not change: several statics of one name and kind in one
   * function, told apart by nothing but their order.
   */
  byOrder: [old: InputSection, fresh: InputSection][];
  /** C++ functions that have only a number to tell them from others of their name. */
  families: FunctionFamily[];
  oldUsers: Users;
  freshUsers: Users;
}

/** The two stand for each other. */
export function pair(found: Correlation, old: InputSection, fresh: InputSection): void {
  found.pairs.set(fresh, old);
  found.removed.delete(old);
  found.added.delete(fresh);
}
