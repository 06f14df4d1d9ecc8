/**
 * fork(2): the child gets a store of its own with a copy of the parent's data. Until that is done nobody
 * who can write the parent's memory runs.
 */
import * as ptrace from '../linux/ptrace.js';
import { isError } from '../linux/errno.js';
import { getLimit } from '../linux/rlimit.js';
import { ProcessMemory } from '../linux/memory.js';
import { isHidden, type MapsLine, ownTid, readMaps } from '../linux/proc.js';
import { SYS } from '../linux/syscall-numbers.js';
import {
  isSyscallStop,
  PTRACE_EVENT_CLONE,
  PTRACE_EVENT_FORK,
  PTRACE_EVENT_VFORK,
  stopEvent,
} from '../linux/wait.js';
import { PAGE, pageUp, Store } from '../memory/store.js';
import { GATE_DATA, GATE_END, GATE_FOREIGN, GATE_PINS_MEMORY, GATE_START } from '../x64/gate.js';
import { gateMappings, limitFiles, moveDescriptor, storeMapping } from './convert.js';
import { batch, borrow, type InjectionScope } from './inject.js';
import { setPatience } from './kept-pages.js';
import type { Kernel } from './kernel.js';
import { isStoreArea, PROT_READ, PROT_WRITE, protectionBits } from './mapping.js';
import { type Generation, type Process, Space } from './model.js';
import { pause, type Steps } from './steps.js';
import type { Registers } from '../x64/registers.js';
import type { Task } from './task.js';
import type { TextCopy } from './text.js';

const MFD_CLOEXEC = 1;
const MADV_DONTFORK = 10;
const PR_SET_DUMPABLE = 4;
/** How much is copied before other events get their turn, in chunks of the store's. */
const CHUNKS_PER_TURN = 2;

/** Lets `task`, stopped before a clone-like call, perform it. @returns the child, or the error */
export function* performClone(kernel: Kernel, task: Task): Steps<Task | number> {
  for (;;) {
    task.resumeToSyscall();
    yield* task.nextStop();
    const event = stopEvent(task.status);
    if (event === PTRACE_EVENT_FORK || event === PTRACE_EVENT_CLONE || event === PTRACE_EVENT_VFORK) {
      return kernel.task(ptrace.eventMessage(task.tid));
    }
    if (isSyscallStop(task.status)) return task.fetch().signed('rax');
  }
}

const CLONE_CHILD_SETTID = 0x0100_0000;

/**
 * The kernel writes the child's tid in the child's first moment (kernel/sched/core.c, schedule_tail), when
 * its memory is still the parent's: the flag is taken out of the call, and the tid written afterwards.
 */
export class ChildTid {
  /** Where the tid goes in the child; 0 when nobody asked for it. */
  #address = 0;
  /** What clone3's flags were, and where. */
  #flags: { address: number; word: Uint8Array } | undefined;

  /** @param caller the registers of the call, changed where needed; struct clone_args is in the caller's memory */
  constructor(caller: Registers, nr: number, memory: ProcessMemory) {
    if (nr === SYS.clone && caller.get('rdi') & CLONE_CHILD_SETTID) {
      this.#address = caller.get('r10');
      caller.set('rdi', caller.get('rdi') - CLONE_CHILD_SETTID);
    } else if (nr === SYS.clone3) {
      const args = memory.read(caller.get('rdi'), 24);
      const view = new DataView(args.buffer);
      if (args.length < 24 || !(view.getUint32(0, true) & CLONE_CHILD_SETTID)) return;
      this.#address = Number(view.getBigUint64(16, true));
      this.#flags = { address: caller.get('rdi'), word: args.slice(0, 4) };
      view.setUint32(0, (view.getUint32(0, true) & ~CLONE_CHILD_SETTID) >>> 0, true);
      memory.write(caller.get('rdi'), args.subarray(0, 4));
    }
  }
  /** Gives the parent's registers or memory back what the call said. */
  undo(caller: Registers, memory: ProcessMemory): void {
    if (this.#flags) memory.write(this.#flags.address, this.#flags.word);
    else if (this.#address !== 0) caller.set('rdi', caller.get('rdi') + CLONE_CHILD_SETTID);
  }

  /** Once the child's memory is its own. */
  write(child: Task, store: Store): void {
    if (this.#address === 0) return;
    store.write(this.#address, new Uint8Array(new Int32Array([ownTid(child.tid)]).buffer));
  }
}

const CLONE_UNTRACED = 0x0080_0000;

/** A child born with CLONE_UNTRACED would escape supervision: the flag is taken out of the call. */
export class Untraced {
  /** Where clone3's flags are, and what they were. */
  readonly #flags: { address: number; word: Uint8Array } | undefined;
  readonly #inRegister: boolean = false;

  /** @param caller the registers of the call, changed where needed @param tid whose memory struct clone_args is in */
  constructor(
    caller: Registers,
    nr: number,
    readonly tid: number,
  ) {
    if (nr === SYS.clone && caller.get('rdi') & CLONE_UNTRACED) {
      this.#inRegister = true;
      caller.set('rdi', caller.get('rdi') - CLONE_UNTRACED);
    } else if (nr === SYS.clone3) {
      using memory = new ProcessMemory(tid);
      const word = memory.read(caller.get('rdi'), 4);
      if (word.length < 4 || !(word[2]! & (CLONE_UNTRACED >> 16))) return;
      this.#flags = { address: caller.get('rdi'), word: word.slice() };
      word[2] = word[2]! & ~(CLONE_UNTRACED >> 16);
      memory.write(caller.get('rdi'), word);
    }
  }

  /** Gives the caller's registers or memory back what the call said. */
  undo(caller: Registers): void {
    if (this.#inRegister) caller.set('rdi', caller.get('rdi') + CLONE_UNTRACED);
    if (!this.#flags) return;
    using memory = new ProcessMemory(this.tid);
    memory.write(this.#flags.address, this.#flags.word);
  }
}

/** Waits for a new task's birth stop, which may have come already. */
export function* birthOf(task: Task): Steps<void> {
  if (!task.stopped) yield* task.nextStop();
}

/**
 * Gives the forked child, at its birth stop, memory of its own.
 * @param home the generation whose view the child continues
 * @param text of the base, since before the fork
 */
export function* separate(
  kernel: Kernel,
  parent: Process,
  child: Task,
  home: Generation,
  text: TextCopy,
): Steps<Space> {
  return yield* borrow(kernel, child, (scope) => separateBy(scope, kernel, parent, child, home, text));
}

function* separateBy(
  scope: InjectionScope,
  kernel: Kernel,
  parent: Process,
  child: Task,
  home: Generation,
  text: TextCopy,
): Steps<Space> {
  // It is hidden as its parent is (kernel/fork.c, mmf_init_flags): not for the moment in which we open its files.
  const hidden = isHidden(child.tid);
  if (hidden) yield* scope.call(SYS.prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
  // Room for one descriptor: the child's copy of the parent's store goes, and its number is within the limit.
  const limit = getLimit(child.tid, 'openFiles');
  const needed = BigInt(kernel.storeFd + 1);
  if (limit.soft < needed) yield* limitFiles(kernel, child, parent.space.store, needed, limit.hard);
  yield* scope.call(SYS.close, kernel.storeFd);
  const created = yield* scope.call(SYS.memfd_create, kernel.gate.storeName, MFD_CLOEXEC | kernel.memfdFlags);
  if (isError(created)) throw new Error(`memfd_create in the fork child ${child.tid}: errno ${-created}`);
  const store = new Store(child.tid, created);
  const source = parent.space.store;
  // What the child has mapped; areas marked MADV_DONTFORK are not among them, but what is sealed belongs to it.
  const { sealed } = parent.space;
  const isSealed = (area: MapsLine): boolean =>
    sealed.some((range) => area.start < range.end && area.end > range.start);
  const left = sealed.length > 0 ? readMaps(parent.space.hostPid).filter(isSealed) : [];
  const areas = [...readMaps(child.tid), ...left].filter(
    (area) => isStoreArea(area) && (area.start < GATE_START || area.start >= GATE_END),
  );
  let chunks = 0;
  for (const area of areas) {
    for (const { start, end } of notWiped(parent.space, area)) {
      for (const _ of source.copyTo(store, start, end)) {
        if (++chunks % CHUNKS_PER_TURN === 0) yield* pause(kernel.scheduler);
      }
    }
  }
  store.write(GATE_START, kernel.gate.code);
  store.write(GATE_DATA, new Uint8Array(PAGE));
  for (const _ of source.copyTo(store, GATE_FOREIGN, GATE_END)) continue;

  for (const [nr, ...args] of gateMappings(kernel, created)) {
    const at = yield* scope.call(nr, ...args);
    if (at !== args[0]) throw new Error(`mapping the gate into the fork child ${child.tid}: errno ${-at}`);
  }
  if (created !== kernel.storeFd) yield* moveDescriptor(kernel, child, created);
  if (limit.soft < needed) yield* limitFiles(kernel, child, store, limit.soft, limit.hard);
  const entries = areas.map((area) =>
    storeMapping(kernel, area.start, area.end - area.start, protectionBits(area.permissions)),
  );
  for (const { start, end } of sealed) {
    entries.push([SYS.mseal, start, end - start, 0], [SYS.madvise, start, end - start, MADV_DONTFORK]);
  }
  for (const result of yield* batch(kernel, child, store, entries)) {
    if (isError(result))
      throw new Error(`mapping the store into the fork child ${child.tid}: errno ${-result}`);
  }
  text.clean(child.tid);
  if (home.divergences.length > 0) {
    using memory = new ProcessMemory(child.tid);
    for (const { address, bytes } of home.divergences)
      if (!memory.write(address, bytes)) throw new Error(`writing the text of the fork child ${child.tid}`);
  }

  const space = new Space(kernel.scheduler, store, child.tid);
  if (hidden) yield* scope.call(SYS.prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
  const { heap } = parent.space;
  space.heap.set(heap.start, heap.end, heap.top);
  setPatience(space);
  if (heap.isMoving) {
    // In the child the call was never made.
    const [start, end] = [pageUp(heap.start), pageUp(heap.end)];
    yield* scope.call(SYS.mprotect, start, end - start, PROT_READ | PROT_WRITE);
  }
  space.islands.push(...parent.space.islands.map(({ start, sites }) => ({ start, sites: [...sites] })));
  space.stack = parent.space.stack;
  space.executesMappedText = parent.space.executesMappedText;
  space.sealed.push(...sealed);
  if (sealed.length > 0) store.write(GATE_PINS_MEMORY, Uint8Array.of(1));
  space.watched.adopt(parent.space.watched);
  space.usesDontFork = parent.space.usesDontFork;
  return space;
}

/** The parts of an area that the child finds as its parent has them (MADV_WIPEONFORK). */
function notWiped({ watched }: Space, { start, end }: MapsLine): { start: number; end: number }[] {
  const parts: { start: number; end: number }[] = [];
  let at = start;
  for (const range of watched.overlapping(start, end)) {
    if (range.what.kind !== 'wiped') continue;
    parts.push({ start: at, end: Math.max(at, range.start) });
    at = Math.min(end, range.end);
  }
  return [...parts, { start: at, end }];
}
