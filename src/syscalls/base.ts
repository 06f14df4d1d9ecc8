/**
 * The traps of the base: what a thread's seccomp stop at home leads to. Most of it is done at once, without
 * a coroutine; the rest occupies the thread.
 */
import { EINVAL, isError } from '../linux/errno.js';
import { ProcessMemory } from '../linux/memory.js';
import { SYS } from '../linux/syscall-numbers.js';
import { PTRACE_EVENT_VFORK, stopEvent } from '../linux/wait.js';
import { PAGE, pageUp } from '../memory/store.js';
import { birthOf, ChildTid, performClone, separate, Untraced } from '../process/fork.js';
import { Hold } from '../process/hold.js';
import type { Kernel } from '../process/kernel.js';
import { addForked, adopt } from '../process/lifecycle.js';
import { MAP_ANONYMOUS, MAP_NORESERVE, MAP_POPULATE, MAP_PRIVATE, MAP_STACK } from '../process/mapping.js';
import type { Thread } from '../process/model.js';
import type { Steps } from '../process/steps.js';
import type { Task } from '../process/task.js';
import { TextCopy } from '../process/text.js';
import { letGo, lockSpace, occupy } from '../process/turns.js';
import { GATE_DATA, GATE_FREE_END, GATE_LISTS } from '../x64/gate.js';
import { ARGUMENTS } from '../x64/registers.js';
import { answerMode, asksForMode, installFilter, installsFilter } from './install-filter.js';
import { MEMORY_HANDLERS, type MemoryHandler, noteLocked } from './memory.js';
import { Performer } from './performer.js';

const FUTEX_PRIVATE_FLAG = 0x80;
const CLONE_VM = 0x100;
const CLONE_FS = 0x200;
const CLONE_FILES = 0x400;
const CLOSE_RANGE_UNSHARE = 2;
const CLONE_UNTRACED = 0x0080_0000;
/** What the gate's own mmap handles (x64/gate.ts). */
const SIMPLE_MMAP = MAP_PRIVATE | MAP_ANONYMOUS;
const HARMLESS_MMAP = MAP_POPULATE | MAP_NORESERVE | MAP_STACK;

/** @param thread stopped at a seccomp stop of its home, where it lives */
export function trapped(kernel: Kernel, thread: Thread): void {
  const { home } = thread;
  const regs = home.fetch();
  const nr = regs.signed('orig_rax');
  const { space } = thread.process;
  switch (nr) {
    case SYS.futex:
      // Keys of private futexes belong to one address space; ours may get company at any time.
      regs.set('rsi', regs.int('rsi') & ~FUTEX_PRIVATE_FLAG);
      home.commit();
      letGo(thread);
      return;
    case SYS.mmap:
      if (!space.plural && (regs.int('r10') & ~HARMLESS_MMAP) === SIMPLE_MMAP) {
        redirect(kernel, thread, nr);
        return;
      }
      break;
    case SYS.brk:
      if (!space.plural && !fromTrapPage(regs.get('rip'))) {
        redirect(kernel, thread, nr);
        return;
      }
      break;
    case SYS.mlock:
    case SYS.mlock2:
    case SYS.mlockall:
      noteLocked(space);
      letGo(thread);
      return;
    case SYS.munmap:
      if (!space.plural) {
        const [start, length] = [regs.get('rdi'), regs.get('rsi')];
        if (start % PAGE === 0) space.store.punch(start, pageUp(length));
        letThrough(thread);
        return;
      }
      break;
    case SYS.mprotect:
    case SYS.pkey_mprotect:
    case SYS.shmdt:
    case SYS.membarrier:
      if (!space.plural) {
        letThrough(thread);
        return;
      }
      break;
    case SYS.setrlimit:
    case SYS.prlimit64:
      occupy(kernel, thread, 'limit', limitDescriptors(kernel, thread, nr));
      return;
    case SYS.sigaltstack:
      noteAlternateStack(thread);
      letGo(thread);
      return;
    case SYS.fork:
      occupy(kernel, thread, 'fork', forkAtHome(kernel, thread, nr));
      return;
    case SYS.clone:
    case SYS.clone3: {
      const flags = nr === SYS.clone ? regs.get('rdi') : clone3Flags(thread);
      if (!(flags & CLONE_VM)) occupy(kernel, thread, 'fork', forkAtHome(kernel, thread, nr));
      else if (flags & CLONE_UNTRACED) occupy(kernel, thread, 'clone', cloneTraced(kernel, thread, nr));
      else letGo(thread);
      return;
    }
    case SYS.unshare:
      if (regs.get('rdi') & (CLONE_FILES | CLONE_FS)) thread.ownTables = true;
      letGo(thread);
      return;
    case SYS.close_range:
      if (regs.int('rdx') & CLOSE_RANGE_UNSHARE) thread.ownTables = true;
      occupy(kernel, thread, 'close_range', closeRange(kernel, thread));
      return;
    case SYS.prctl:
    case SYS.seccomp:
      if (installsFilter(regs)) {
        occupy(kernel, thread, 'seccomp', installFilter(thread));
        return;
      }
      if (asksForMode(regs)) answerMode(thread);
      letGo(thread);
      return;
  }
  const handler = MEMORY_HANDLERS.get(nr);
  if (handler) occupy(kernel, thread, 'memory call', mediate(kernel, thread, handler));
  else letGo(thread);
}

/**
 * What the thread names as its alternate signal stack (its runner at the call, registers fetched): quiescence has to
 * look at the stack below, too, of a thread that handles a signal there. A call that will fail is not told apart; the
 * thread would have to run on memory that it has just named in vain to be misjudged.
 */
export function noteAlternateStack(thread: Thread): void {
  const SS_DISABLE = 2;
  // stack_t: ss_sp, ss_flags, ss_size (sigaltstack(2))
  using memory = new ProcessMemory(thread.runner.tid);
  const pointer = thread.runner.regs.get('rdi');
  const bytes = pointer === 0 ? new Uint8Array() : memory.read(pointer, 24);
  if (bytes.length < 24) return;
  const view = new DataView(bytes.buffer);
  const start = Number(view.getBigUint64(0, true));
  const end = start + Number(view.getBigUint64(16, true));
  thread.alternateStack = view.getInt32(8, true) & SS_DISABLE || end <= start ? undefined : { start, end };
}

/** The gate's own way to the supervisor, for what its routine does not do. */
const fromTrapPage = (rip: number): boolean => rip > GATE_FREE_END && rip <= GATE_DATA;

/** The in-process routine does it: the same code as a rewritten call site runs. */
function redirect(kernel: Kernel, thread: Thread, nr: number): void {
  const { regs } = thread.home;
  regs.copy('rcx', regs, 'rip');
  regs.set('rip', kernel.gate.routines.get(nr)!);
  regs.set('rax', nr);
  regs.set('orig_rax', -1);
  thread.home.commit();
  letGo(thread);
}

/** Makes its memory call by itself: a generation that is made before it stops again might miss it. */
function letThrough(thread: Thread): void {
  thread.letThrough = true;
  letGo(thread);
}

/** A memory call through the supervisor, with the space to itself. */
export function* mediate(kernel: Kernel, thread: Thread, handler: MemoryHandler): Steps<void> {
  const { space } = thread.process;
  using _lock = yield* lockSpace(thread);
  const { regs } = thread.runner;
  const performer = yield* Performer.open(kernel, thread);
  // The scope fetched the registers anew: the handler reads the caller's own, saved ones.
  const caller = thread.stub ? regs : performer.callerRegs;
  yield* performer.close(yield* handler(performer, space, caller));
}

function clone3Flags(thread: Thread): number {
  using memory = new ProcessMemory(thread.home.tid);
  const bytes = memory.read(thread.home.regs.get('rdi'), 8);
  return bytes.length < 8 ? CLONE_VM : new DataView(bytes.buffer).getUint32(0, true);
}

function* forkAtHome(kernel: Kernel, thread: Thread, nr: number): Steps<void> {
  const { process, home } = thread;
  using _lock = yield* lockSpace(thread);
  const hold = new Hold(kernel, process.space, letGo);
  yield* hold.stop(thread);
  try {
    using memory = new ProcessMemory(home.tid);
    using text = new TextCopy(process.space.base);
    const untraced = new Untraced(home.fetch(), nr, home.tid);
    const tid = new ChildTid(home.regs, nr, memory);
    home.commit();
    const child = yield* performClone(kernel, home);
    tid.undo(home.fetch(), memory);
    untraced.undo(home.regs);
    home.commit();
    if (typeof child === 'number') return;
    yield* birthOf(child);
    const space = yield* separate(kernel, process, child, thread.generation, text);
    tid.write(child, space.store);
    letGo(addForked(kernel, thread, child, space));
  } finally {
    hold.release();
  }
}

/** A clone that shares memory and asks not to be traced. */
function* cloneTraced(kernel: Kernel, thread: Thread, nr: number): Steps<void> {
  const { home } = thread;
  const untraced = new Untraced(home.fetch(), nr, home.tid);
  home.commit();
  const child = yield* performClone(kernel, home);
  untraced.undo(home.fetch());
  home.commit();
  if (typeof child !== 'number') cloned(kernel, thread, child);
}

/** A clone that shares memory, seen at its creator's event stop. */
export function cloned(kernel: Kernel, creator: Thread, child: Task): void {
  const thread = adopt(kernel, creator, child);
  if (stopEvent(creator.home.status) === PTRACE_EVENT_VFORK) creator.vforkChild = thread.process;
  if (child.stopped) letGo(thread);
}

/** A hard limit below the store's descriptor could never be lifted again: fork needs that number. */
export function* limitDescriptors(kernel: Kernel, thread: Thread, nr: number): Steps<void> {
  using _lock = yield* lockSpace(thread);
  const performer = yield* Performer.open(kernel, thread);
  const regs = thread.stub ? thread.stub.fetch() : performer.callerRegs;
  const args = ARGUMENTS.slice(0, 4).map((register) => regs.signed(register));
  const pointer = nr === SYS.setrlimit ? 1 : 2;
  using memory = performer.openBase();
  const limit = args[pointer] === 0 ? new Uint8Array() : memory.read(args[pointer]!, 16);
  if (limit.length === 16) {
    // struct rlimit { rlim_cur, rlim_max }
    const view = new DataView(limit.buffer);
    const lowest = BigInt(kernel.storeFd + 1);
    if (view.getBigUint64(8, true) < lowest) view.setBigUint64(8, lowest, true);
    thread.process.space.store.write(GATE_LISTS, limit);
    args[pointer] = GATE_LISTS;
  }
  yield* performer.close(yield* performer.everywhere(nr, ...args));
}

/** Closes around the store's descriptor. */
export function* closeRange(kernel: Kernel, thread: Thread): Steps<void> {
  const performer = yield* Performer.open(kernel, thread);
  const regs = thread.stub ? thread.stub.fetch() : performer.callerRegs;
  const [first, last, flags] = [regs.get('rdi') % 2 ** 32, regs.get('rsi') % 2 ** 32, regs.int('rdx')];
  let result: number;
  if (first > last) result = -EINVAL;
  else if (kernel.storeFd < first || kernel.storeFd > last)
    result = yield* performer.home(SYS.close_range, first, last, flags);
  else {
    result = 0;
    if (kernel.storeFd > first)
      result = yield* performer.home(SYS.close_range, first, kernel.storeFd - 1, flags);
    if (!isError(result) && last > kernel.storeFd) {
      result = yield* performer.home(SYS.close_range, kernel.storeFd + 1, last, flags);
    }
  }
  yield* performer.close(result);
}
