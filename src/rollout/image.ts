/** A patch's new code and data: in the store, near the program, visible to all generations, harmless until called. */
import { AtlasError } from '../errors/atlas-error.js';
import { isError } from '../linux/errno.js';
import { readMaps } from '../linux/proc.js';
import { SYS } from '../linux/syscall-numbers.js';
import { callFunction } from '../process/call-function.js';
import { agentCall, ensureBaseAgent, withBaseAgent } from '../process/generation.js';
import { call } from '../process/inject.js';
import type { Kernel } from '../process/kernel.js';
import {
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_SHARED,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../process/mapping.js';
import type { Process } from '../process/model.js';
import type { Steps } from '../process/steps.js';
import { linkPatch, type LinkedPatch, type PatchPlan } from '../patch/index.js';

const PROTECTION = { rx: PROT_READ | PROT_EXEC, rw: PROT_READ | PROT_WRITE, r: PROT_READ } as const;
/** Room that the program's heap may grow into above its executable, and libraries below theirs. */
const CLEARANCE = 64 << 20;

/** Maps and fills the image; only from here on anything in the target has changed, and nothing runs it. */
export function* placeImage(
  kernel: Kernel,
  process: Process,
  plan: PatchPlan,
  deadline: number,
): Steps<LinkedPatch> {
  const { space } = process;
  using _turn = yield* space.generationLock.acquire();
  // Before the gate closes: from then on memory calls wait for us.
  const address = freeAddress(process, plan);
  const linked = linkPatch(plan, address);
  const agent = yield* ensureBaseAgent(kernel, process, deadline);
  using _lock = yield* space.lock.acquire();
  const { storeFd } = kernel;
  const map = (how: number): readonly number[] => [
    address,
    plan.size,
    PROT_READ | PROT_WRITE,
    MAP_SHARED | how,
    storeFd,
    address,
  ];
  yield* withBaseAgent(kernel, agent, function* () {
    const mapped = yield* call(kernel, agent, SYS.mmap, ...map(MAP_FIXED_NOREPLACE));
    if (isError(mapped))
      throw new AtlasError('refused', `The patch's code cannot be mapped (errno ${-mapped}).`, 'Try again.');
    for (const { address: start, bytes, protection } of linked.image) {
      space.store.write(start, bytes);
      yield* call(kernel, agent, SYS.mprotect, start, pages(bytes.length), PROTECTION[protection]);
    }
    for (const registration of linked.registrations) yield* callFunction(kernel, agent, registration);
  });
  for (const generation of space.generations.values()) {
    if (!generation.agent) continue;
    yield* agentCall(kernel, generation, SYS.mmap, ...map(MAP_FIXED));
    for (const { address: start, bytes, protection } of linked.image) {
      yield* agentCall(kernel, generation, SYS.mprotect, start, pages(bytes.length), PROTECTION[protection]);
    }
  }
  return linked;
}

const pages = (length: number): number => Math.ceil(length / 4096) * 4096;

/** Free address space as near to the executable as its growing neighbours allow. */
function freeAddress(process: Process, plan: PatchPlan): number {
  const { lowest, highest } = plan.placement;
  const areas = readMaps(process.space.hostPid);
  let below = 0;
  let best: number | undefined;
  for (const area of [...areas, { start: 2 ** 47, end: 2 ** 47 }]) {
    const first = Math.max(below === 0 ? lowest : below + CLEARANCE, lowest);
    const last = Math.min(area.start - CLEARANCE - pages(plan.size), highest);
    // The highest place of a gap: nothing grows down to it, and heaps grow up from below.
    if (last >= first) best ??= last;
    below = area.end;
  }
  if (best === undefined) {
    throw new AtlasError(
      'refused',
      `There is no room for ${plan.size} bytes of new code near the program.`,
      'The patch cannot be applied here.',
    );
  }
  return best;
}
