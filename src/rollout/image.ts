/** A patch's new code and data: in the store, near the program, visible to all generations, harmless until called. */
import { readFileSync } from 'node:fs';
import { AtlasError } from '../errors/atlas-error.js';
import { ENOMEM, isError } from '../linux/errno.js';
import { ProcessMemory } from '../linux/memory.js';
import { readMaps } from '../linux/proc.js';
import { SYS } from '../linux/syscall-numbers.js';
import { callFunction } from '../process/call-function.js';
import { callElsewhere } from '../process/elsewhere.js';
import { ensureBaseAgent, withBaseAgent } from '../process/generation.js';
import { type BatchEntry, batch, call } from '../process/inject.js';
import type { Kernel } from '../process/kernel.js';
import {
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_SHARED,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  protectionBits,
} from '../process/mapping.js';
import type { Process } from '../process/model.js';
import type { Steps } from '../process/steps.js';
import { linkPatch, type LinkedPatch, type PatchPlan } from '../patch/index.js';

/** What the image, its halves of a split area and our own need at most. */
const SPARE_AREAS = 16;
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
  const calls = mappingsOf(kernel, plan.size, linked, address);
  yield* withBaseAgent(kernel, agent, function* () {
    const results = yield* batch(kernel, agent, space.store, calls);
    const failed = results.find(isError);
    if (failed === undefined) return;
    if (!isError(results[0]!)) yield* call(kernel, agent, SYS.munmap, address, plan.size);
    refuse(process, failed);
  });
  for (const { address: start, bytes } of linked.image) space.store.write(start, bytes);
  const answers = yield* callElsewhere(kernel, space, calls);
  const failed = answers.flatMap(({ results }) => results.filter(isError))[0];
  if (failed !== undefined) {
    yield* withBaseAgent(kernel, agent, () => call(kernel, agent, SYS.munmap, address, plan.size));
    yield* callElsewhere(kernel, space, [[SYS.munmap, address, plan.size]]);
    space.store.punch(address, pages(plan.size));
    refuse(process, failed);
  }
  for (const generation of space.generations.values()) compare(generation.hostPid, linked);
  if (linked.registrations.length > 0) {
    yield* withBaseAgent(kernel, agent, function* () {
      for (const registration of linked.registrations) yield* callFunction(kernel, agent, registration);
    });
  }
  return linked;
}

/**
 * The whole of it first, which finds the place free or not; then each part, with its protection from the
 * start: under PR_SET_MDWE a mapping cannot become executable later (prctl(2)).
 */
function mappingsOf(kernel: Kernel, size: number, linked: LinkedPatch, address: number): BatchEntry[] {
  const { storeFd } = kernel;
  const whole = MAP_SHARED | MAP_FIXED_NOREPLACE;
  return [
    [SYS.mmap, address, pages(size), PROT_READ | PROT_WRITE, whole, storeFd, address],
    ...linked.image
      .filter(({ protection }) => protection !== 'rw')
      .map(({ address: start, bytes, protection }): BatchEntry => {
        return [
          SYS.mmap,
          start,
          pages(bytes.length),
          PROTECTION[protection],
          MAP_SHARED | MAP_FIXED,
          storeFd,
          start,
        ];
      }),
  ];
}

/** No thread may reach what is not there. */
function compare(host: number, linked: LinkedPatch): void {
  const areas = readMaps(host);
  using memory = new ProcessMemory(host);
  for (const { address, bytes, protection } of linked.image) {
    const area = areas.find(({ start, end }) => start <= address && address < end);
    const there = memory.read(address, bytes.length);
    if (
      area &&
      protectionBits(area.permissions) === PROTECTION[protection] &&
      Buffer.compare(there, bytes) === 0
    )
      continue;
    throw new Error(`the patch's image at 0x${address.toString(16)} is not what was mapped in ${host}`);
  }
}

function refuse(process: Process, result: number): never {
  const areas = readMaps(process.space.hostPid).length;
  const most = Number(readFileSync('/proc/sys/vm/max_map_count', 'utf8'));
  const limit =
    areas + SPARE_AREAS > most
      ? `It has ${areas} areas of memory, and vm.max_map_count allows ${most}.`
      : 'RLIMIT_AS, the memory of its control group, or a security module does not allow it.';
  throw new AtlasError(
    'refused',
    `The kernel does not let process ${process.pid} map the patch's code (errno ${-result}).`,
    result === -ENOMEM ? limit : 'Is there a security module that forbids it?',
  );
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
