/** A program's own seccomp filters: installing one, rewritten so that it spares Atlas's calls, and asking for the mode. */
import { INSTRUCTION_SIZE, MAX_INSTRUCTIONS } from '../linux/bpf.js';
import { ProcessMemory } from '../linux/memory.js';
import { secureComputing } from '../linux/proc.js';
import { SYS } from '../linux/syscall-numbers.js';
import { isSyscallStop } from '../linux/wait.js';
import { windBack } from '../process/hold.js';
import type { Kernel } from '../process/kernel.js';
import { moveHome } from '../process/migrate.js';
import type { Thread } from '../process/model.js';
import type { Steps } from '../process/steps.js';
import type { Task } from '../process/task.js';
import { lockSpace } from '../process/turns.js';
import { GATE_FREE_END, GATE_LISTS, GATE_START } from '../x64/gate.js';
import { Registers } from '../x64/registers.js';
import { exemptGate } from './program-filter.js';

const PR_GET_SECCOMP = 21;
const PR_SET_SECCOMP = 22;
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_MODE_FILTER = 2;
/** sizeof(struct sock_fprog): the number of instructions, and their address. */
const PROGRAM_SIZE = 16;
const GATE = { gateStart: GATE_START, gateEnd: GATE_FREE_END };

/** @param regs of a task that stands before `seccomp` or `prctl` */
export function installsFilter(regs: Registers): boolean {
  return regs.signed('orig_rax') === SYS.seccomp
    ? regs.int('rdi') === SECCOMP_SET_MODE_FILTER
    : regs.int('rdi') === PR_SET_SECCOMP && regs.get('rsi') === SECCOMP_MODE_FILTER;
}

export const asksForMode = (regs: Registers): boolean =>
  regs.signed('orig_rax') === SYS.prctl && regs.int('rdi') === PR_GET_SECCOMP;

/** Answers what the program would be told if Atlas's own filter were not there; it has what the supervisor has. */
export function answerMode({ home, runner }: Thread): void {
  const inherited = secureComputing('self');
  const own = secureComputing(home.tid);
  const added = own !== undefined && inherited !== undefined && own.filters > inherited.filters + 1;
  answer(runner, added ? SECCOMP_MODE_FILTER : (inherited?.mode ?? 0));
}

/** Ends the call that the task stands before, with this result. */
function answer(task: Task, result: number): void {
  task.regs.set('rax', result);
  task.regs.set('orig_rax', -1);
  task.commit();
}

/**
 * @param thread stopped at home, before its call. The kernel reads the filter from the gate's list area, which is ours
 * as long as we hold the space's lock; the longest filter takes half of it.
 */
export function* installFilter(thread: Thread): Steps<void> {
  const { home, process } = thread;
  using _lock = yield* lockSpace(thread);
  using memory = new ProcessMemory(home.tid);
  const caller = new Registers();
  caller.assign(home.fetch());
  const filter = readFilter(memory, caller.get('rdx'));
  if (filter) {
    const exempt = exemptGate(filter, GATE);
    if ('errno' in exempt) {
      answer(home, -exempt.errno);
      return;
    }
    const length = exempt.filter.length / INSTRUCTION_SIZE;
    const program = new BigUint64Array([BigInt(length), BigInt(GATE_LISTS + PROGRAM_SIZE)]);
    process.space.store.write(GATE_LISTS, new Uint8Array(program.buffer));
    process.space.store.write(GATE_LISTS + PROGRAM_SIZE, exempt.filter);
    home.regs.set('rdx', GATE_LISTS);
    home.commit();
  }
  do {
    home.resumeToSyscall();
    yield* home.nextStop();
  } while (!isSyscallStop(home.status));
  home.fetch().copy('rdx', caller);
  home.commit();
}

/** @returns undefined for what the kernel cannot read either, or finds too long: it says so itself */
function readFilter(memory: ProcessMemory, address: number): Uint8Array | undefined {
  const program = memory.read(address, PROGRAM_SIZE);
  if (program.length < PROGRAM_SIZE) return undefined;
  const view = new DataView(program.buffer);
  const length = view.getUint16(0, true) * INSTRUCTION_SIZE;
  if (length > MAX_INSTRUCTIONS * INSTRUCTION_SIZE) return undefined;
  const filter = memory.read(Number(view.getBigUint64(8, true)), length);
  return filter.length === length ? filter : undefined;
}

/**
 * The call of a thread that lives elsewhere. Its home makes calls for it through the gate, which no filter binds, and
 * its stub would go to another thread afterwards: so the thread goes home, and makes the call there.
 */
export function* installFilterFromStub(kernel: Kernel, thread: Thread): Steps<void> {
  windBack(thread.stub!);
  yield* moveHome(kernel, thread);
}
