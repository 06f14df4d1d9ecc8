/** brk: what the gate does (x64/gate-break.ts), everywhere, and growing beyond what is mapped. */
import { EPERM, isError } from '../../linux/errno.js';
import { SYS } from '../../linux/syscall-numbers.js';
import { pageUp } from '../../memory/store.js';
import { alone } from '../../process/gate-mode.js';
import { MAP_FIXED_NOREPLACE, PROT_NONE, PROT_READ, PROT_WRITE } from '../../process/mapping.js';
import type { Space } from '../../process/model.js';
import type { Steps } from '../../process/steps.js';
import { LARGE } from '../../x64/gate.js';
import type { Registers } from '../../x64/registers.js';
import type { Performer } from '../performer.js';
import { sweepIfWanted } from './advise.js';
import { afford, alsoElsewhere, storeAt, TASK_SIZE } from './ranges.js';

/** How much more than asked for is mapped when the heap grows: the gate's brk can grow that far by itself. */
const HEAP_SLACK = 1 << 20;

export function* brk(perform: Performer, space: Space, regs: Registers): Steps<number> {
  sweepIfWanted(perform, space);
  return yield* alone(perform.kernel, space, () => moveBreak(perform, space, regs.get('rdi')));
}

function* moveBreak(perform: Performer, space: Space, wanted: number): Steps<number> {
  const { heap, store } = space;
  const { end, top } = heap;
  if (wanted < heap.start || wanted >= TASK_SIZE) return end;
  const mapped = pageUp(end);
  const needed = pageUp(wanted);
  if (needed - mapped >= LARGE && isError(yield* afford(perform, needed - mapped))) return end;
  if (needed > top) {
    heap.top = needed + HEAP_SLACK;
    if (isError(yield* mapHeap(perform, space, top, heap.top - top))) {
      heap.top = top;
      if (isError(yield* mapHeap(perform, space, top, needed - top))) return end;
      heap.top = needed;
    }
  }
  if (needed > mapped) {
    const result = yield* perform.everywhere(SYS.mprotect, mapped, needed - mapped, PROT_READ | PROT_WRITE);
    if (isError(result)) return end;
  } else if (needed < mapped) {
    const result = yield* perform.everywhere(SYS.mprotect, needed, mapped - needed, PROT_NONE);
    // Where the limit of areas does not allow it, what lies above the break stays accessible.
    if (result === -EPERM) return end;
    store.punch(needed, mapped - needed);
  }
  heap.end = wanted;
  return wanted;
}

function* mapHeap(perform: Performer, space: Space, start: number, length: number): Steps<number> {
  const call = storeAt(perform.kernel.storeFd, start, length, PROT_NONE, MAP_FIXED_NOREPLACE);
  const result = yield* perform.home(...call);
  if (isError(result)) return result;
  const error = yield* alsoElsewhere(perform, space, start, length, [call]);
  return isError(error) ? error : result;
}
