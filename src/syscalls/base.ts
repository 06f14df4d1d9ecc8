/**
 * The traps of the base: what a thread's seccomp stop at home leads to. Most of it is done at once, without
 * a coroutine; the rest occupies the thread.
 */
import { EINVAL, ENOMEM, isError } from '../linux/errno.js';
import { ProcessMemory } from '../linux/memory.js';
import { SYS } from '../linux/syscall-numbers.js';
import { PTRACE_EVENT_VFORK, stopEvent } from '../linux/wait.js';
import { birthOf, ChildTid, performClone, separate, Untraced } from '../process/fork.js';
import { Hold } from '../process/hold.js';
import type { Kernel } from '../process/kernel.js';
import { addForked, adopt } from '../process/lifecycle.js';
import {
  MAP_ANONYMOUS,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_STACK,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../process/mapping.js';
import type { Space, Thread } from '../process/model.js';
import type { Steps } from '../process/steps.js';
import type { Task } from '../process/task.js';
import { TextCopy } from '../process/text.js';
import { letGo, lockSpace, occupy } from '../process/turns.js';
import { GATE_DATA, GATE_FRAME, GATE_FREE_END, LARGE } from '../x64/gate.js';
import type { Registers } from '../x64/registers.js';
import { answerMode, asksForMode, installFilter, installsFilter } from './install-filter.js';
import { asItIs, changesMemory, handlerOf, onlyRepeated } from './memory/handlers.js';
import type { MemoryHandler } from './memory/ranges.js';
import { Performer } from './performer.js';
import { noteTracing } from './tracing.js';

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
      if (
        !space.plural &&
        !fromTrapPage(regs.get('rip')) &&
        (regs.int('r10') & ~HARMLESS_MMAP) === SIMPLE_MMAP
      ) {
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
    case SYS.munmap:
      if (!space.plural && !fromTrapPage(regs.get('rip')) && !takesFrame(regs)) {
        redirect(kernel, thread, nr);
        return;
      }
      break;
    case SYS.mprotect:
      if (!space.plural && !needsSupervisor(space, regs)) {
        letThrough(thread);
        return;
      }
      break;
    case SYS.ptrace:
      noteTracing(kernel, thread, regs);
      letGo(thread);
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
      if (nr === SYS.prctl && changesMemory(regs)) {
        if (space.plural) occupy(kernel, thread, 'prctl', mediate(kernel, thread, asItIs));
        else letThrough(thread);
        return;
      }
      if (asksForMode(regs)) answerMode(thread);
      letGo(thread);
      return;
  }
  const handler = handlerOf(nr);
  if (handler && (space.plural || !onlyRepeated(nr)))
    occupy(kernel, thread, 'memory call', mediate(kernel, thread, handler));
  else letGo(thread);
}

/** The routine's frame is in the range that the call unmaps (x64/islands.ts). */
function takesFrame(regs: Registers): boolean {
  const [start, sp] = [regs.get('rdi'), regs.get('rsp')];
  return start < sp && sp < start + regs.get('rsi') + GATE_FRAME;
}

/** What only the handler can do (memory/protect.ts). */
function needsSupervisor(space: Space, regs: Registers): boolean {
  const [start, length, protection] = [regs.get('rdi'), regs.get('rsi'), regs.int('rdx')];
  if (protection & ~(PROT_READ | PROT_WRITE | PROT_EXEC) || length >= LARGE) return true;
  return (protection & PROT_EXEC) !== 0 && space.watched.overlapping(start, start + length).length > 0;
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
  letThrough(thread);
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
  const performer = new Performer(kernel, thread);
  // Whatever becomes of the work, the thread has its own registers and its mask again.
  let result = -ENOMEM;
  try {
    result = yield* handler(performer, space, performer.callerRegs);
  } finally {
    yield* performer.close(result);
  }
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

/** Closes around the store's descriptor. */
export function* closeRange(kernel: Kernel, thread: Thread): Steps<void> {
  const performer = new Performer(kernel, thread);
  const { callerRegs: regs } = performer;
  const [first, last, flags] = [regs.get('rdi') % 2 ** 32, regs.get('rsi') % 2 ** 32, regs.int('rdx')];
  const parts: [first: number, last: number][] = [];
  if (kernel.storeFd < first || kernel.storeFd > last) parts.push([first, last]);
  else {
    if (kernel.storeFd > first) parts.push([first, kernel.storeFd - 1]);
    if (last > kernel.storeFd) parts.push([kernel.storeFd + 1, last]);
  }
  let result = first > last ? -EINVAL : 0;
  try {
    for (const part of parts) {
      if (isError(result)) break;
      result = yield* performer.home(SYS.close_range, ...part, flags);
    }
  } finally {
    yield* performer.close(result);
  }
}
