/** setrlimit and prlimit64: limits belong to a process, and stub processes are processes to the kernel. */
import { isError } from '../../linux/errno.js';
import { RLIMIT_NOFILE } from '../../linux/rlimit.js';
import { SYS } from '../../linux/syscall-numbers.js';
import type { Space } from '../../process/model.js';
import type { Steps } from '../../process/steps.js';
import { GATE_LISTS } from '../../x64/gate.js';
import { ARGUMENTS, type Registers } from '../../x64/registers.js';
import type { Performer } from '../performer.js';

export function* limit(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const { kernel, thread } = perform;
  const isOld = regs.signed('orig_rax') === SYS.setrlimit;
  const [resource, at] = isOld ? [regs.int('rdi'), 1] : [regs.int('rsi'), 2];
  const subject = isOld ? 0 : regs.int('rdi');
  const pointer = regs.get(ARGUMENTS[at]!);
  const isOwn = subject === 0 || thread.process.threads.has(subject);
  using memory = perform.openBase();
  // struct rlimit { rlim_cur, rlim_max }
  const wanted = pointer === 0 || !isOwn ? new Uint8Array() : memory.read(pointer, 16);
  if (wanted.length < 16) return yield* perform.own();
  const args = ARGUMENTS.slice(0, 4).map((register) => regs.word(register));
  if (resource === RLIMIT_NOFILE) {
    // A hard limit below the store's descriptor could never be lifted again: fork needs that number.
    const view = new DataView(wanted.buffer);
    const lowest = BigInt(kernel.storeFd + 1);
    if (view.getBigUint64(8, true) < lowest) {
      view.setBigUint64(8, lowest, true);
      args[at] = GATE_LISTS;
    }
  }
  space.store.write(GATE_LISTS, wanted);
  const result = yield* perform.home(regs.signed('orig_rax'), ...args);
  if (isError(result)) return result;
  const answers = yield* perform.tryElsewhere([[SYS.prlimit64, 0, resource, GATE_LISTS, 0]]);
  return answers.flatMap(({ results }) => results.filter(isError))[0] ?? result;
}
