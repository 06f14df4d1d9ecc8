import type { Space } from '../../process/model.js';
import type { Steps } from '../../process/steps.js';
import type { Registers } from '../../x64/registers.js';
import type { Performer } from '../performer.js';
import { rangeOf, unmap } from './ranges.js';

export function* munmap(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const { start, length, isRange } = rangeOf(regs);
  // The kernel says what is wrong with it.
  if (!isRange) return yield* perform.own();
  return yield* unmap(perform, space, start, length);
}
