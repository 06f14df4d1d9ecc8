/** Attaching System V shared memory: the kernel's own mappings, at the same place everywhere. */
import { isError } from '../../linux/errno.js';
import { readMaps } from '../../linux/proc.js';
import { SYS } from '../../linux/syscall-numbers.js';
import { PAGE } from '../../memory/store.js';
import { markForeign } from '../../process/foreign.js';
import type { Space } from '../../process/model.js';
import type { Steps } from '../../process/steps.js';
import type { Registers } from '../../x64/registers.js';
import type { Performer } from '../performer.js';
import { forget } from './ranges.js';

const SHM_REMAP = 0o40000;

export function* shmat(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const flags = regs.int('rdx');
  const result = yield* perform.own();
  if (isError(result)) return result;
  const segment = readMaps(space.hostPid).find((area) => area.start === result);
  const length = segment ? segment.end - segment.start : PAGE;
  markForeign(space, result, length);
  const call = [SYS.shmat, regs.int('rdi'), result, flags | SHM_REMAP] as const;
  if (flags & SHM_REMAP) {
    yield* perform.elsewhere([call]);
    forget(space, result, length);
    return result;
  }
  const failed = (yield* perform.tryElsewhere([call])).flatMap(({ results }) => results.filter(isError));
  if (failed.length === 0) return result;
  yield* perform.home(SYS.shmdt, result);
  yield* perform.tryElsewhere([[SYS.shmdt, result]]);
  return failed[0]!;
}

/** struct shmid64_ds (asm-generic/shmbuf.h): the number of attachments. */
const SHM_NATTCH = 88;
const IPC_STAT = 2;

/** The kernel counts an attachment for every generation that has it; the program knows of one. */
export function* shmctl(perform: Performer, _space: Space, regs: Registers): Steps<number> {
  const result = yield* perform.own();
  if (isError(result)) return result;
  const segment = regs.int('rsi') === IPC_STAT ? regs.int('rdi') : result;
  let further = 0;
  const spaces = new Set([...perform.kernel.processes.values()].map((process) => process.space));
  for (const { generations } of spaces) {
    for (const { agent, ended, hostPid } of generations.values()) {
      if (!agent || ended) continue;
      further += readMaps(hostPid).filter(
        ({ inode, name }) => inode === segment && name.startsWith('/SYSV'),
      ).length;
    }
  }
  if (further === 0) return result;
  using memory = perform.openBase();
  const at = regs.get('rdx') + SHM_NATTCH;
  const counted = new BigUint64Array(1);
  memory.readInto(at, new Uint8Array(counted.buffer));
  counted[0] = counted[0]! - BigInt(further);
  memory.write(at, new Uint8Array(counted.buffer));
  return result;
}
