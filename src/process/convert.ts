/**
 * Converting a fresh process image: at the exec stop, before the first user instruction, all its writable
 * private memory moves into a new store, and the gate is mapped.
 */
import * as ptrace from '../linux/ptrace.js';
import { c } from '../linux/ffi.js';
import { isError } from '../linux/errno.js';
import { ProcessMemory } from '../linux/memory.js';
import { type MapsLine, readMaps, STAT_ARG_START, statField } from '../linux/proc.js';
import { getLimit, RLIMIT_NOFILE } from '../linux/rlimit.js';
import { SYS } from '../linux/syscall-numbers.js';
import { isSignalStop, isSyscallStop, stopSignal } from '../linux/wait.js';
import { PAGE, pageDown, pageUp, Store } from '../memory/store.js';
import { GATE_DATA, GATE_END, GATE_LISTS, GATE_START } from '../x64/gate.js';
import { Registers } from '../x64/registers.js';
import { markForeign } from './foreign.js';
import { type BatchEntry, batch, call } from './inject.js';
import { setPatience } from './kept-pages.js';
import type { Kernel } from './kernel.js';
import { MappedFile } from './mapped-file.js';
import { MAP_FIXED, MAP_SHARED, PROT_EXEC, PROT_READ, PROT_WRITE, protectionBits } from './mapping.js';
import { Space } from './model.js';
import { rawCall } from './raw-call.js';
import { rewriteCallSites } from './rewrite.js';
import type { Steps } from './steps.js';
import type { Task } from './task.js';

const MFD_CLOEXEC = 1;
const O_CLOEXEC = 0o2000000;
const STORE_NAME = new TextEncoder().encode('atlas\0');
/** What an unlimited stack gets: mappings cannot grow down when they are shared (mm/mmap.c, VM_GROWSDOWN). */
const LARGEST_STACK = 1 << 30;
/** Linux keeps this much of the address space below the stack free of mmap (mm/util.c, MIN_GAP). */
const SMALLEST_GAP = 128 << 20;

/**
 * @param task at its PTRACE_EVENT_EXEC stop; left stopped before its first instruction
 * @returns the image's space
 */
export function* convertImage(kernel: Kernel, task: Task): Steps<Space> {
  // The event comes from inside execve, whose return still writes rax: go to its exit first.
  do {
    task.resumeToSyscall();
    yield* task.nextStop();
    if (isSignalStop(task.status)) task.postponed.push(stopSignal(task.status));
  } while (!isSyscallStop(task.status));
  const entry = new Registers();
  entry.assign(task.fetch());
  // A signal to the new program waits until it is one.
  const mask = new Uint8Array(ptrace.SIGSET_SIZE);
  ptrace.getSigmask(task.tid, mask);
  setAllBlocked(task.tid);

  const maps = readMaps(task.tid);
  using memory = new ProcessMemory(task.tid);
  const syscallAt = findSyscall(maps, memory);
  const store = yield* createStore(kernel, task, memory, syscallAt, entry.get('rsp'));
  const space = new Space(kernel.scheduler, store, task.tid);

  const breakStart = yield* call(kernel, task, SYS.brk, 0);
  space.heap.set(breakStart, breakStart, pageUp(breakStart));
  setPatience(space);
  for (const { start, end, name } of maps) if (name !== '[vsyscall]') markForeign(space, start, end - start);
  const entries: BatchEntry[] = [];
  for (const area of maps) {
    if (!area.permissions.startsWith('w', 1) || !area.permissions.endsWith('p') || area.name === '[stack]')
      continue;
    copyIn(memory, store, area.start, area.end);
    entries.push(storeMapping(kernel, area.start, area.end - area.start, protectionBits(area.permissions)));
    if (area.inode === 0) continue;
    const file = MappedFile.of(`/proc/${task.tid}/root${area.name}`, area.inode);
    space.watched.add(area.start, area.end, { kind: 'file', file, offset: area.offset, noExec: false });
  }
  const files = new Set(maps.filter(({ inode }) => inode !== 0).map(({ inode }) => inode));
  space.executesMappedText = files.size > 1;
  const stack = maps.find((area) => area.name === '[stack]');
  if (!stack) throw new Error(`process ${task.tid} has no stack after exec`);
  const moved = moveStack(task, memory, store, stack, entry, maps);
  space.stack = { start: moved.start, end: stack.end };
  entries.push(storeMapping(kernel, moved.start, moved.end - moved.start, protectionBits(stack.permissions)));
  for (const result of yield* batch(kernel, task, store, entries)) {
    if (isError(result)) throw new Error(`mapping the store into ${task.tid}: errno ${-result}`);
  }
  for (const area of maps) {
    if (area.permissions !== 'r-xp' || area.inode === 0) continue;
    const { start, end, offset, name } = area;
    const text = { start, length: end - start, offset, file: `/proc/${task.tid}/root${name}` };
    space.watched.add(start, end, { kind: 'text' });
    yield* rewriteCallSites(kernel, space, text, {
      task: task.tid,
      map: (island) => call(kernel, task, ...island),
    });
  }
  task.regs.assign(entry);
  task.regs.set('orig_rax', -1);
  task.commit();
  ptrace.setSigmask(task.tid, mask);
  for (const signal of task.postponed.splice(0)) c.kill(task.tid, signal);
  return space;
}

const mappingOf = (fd: number, start: number, length: number, protection: number): BatchEntry => [
  SYS.mmap,
  start,
  length,
  protection,
  MAP_SHARED | MAP_FIXED,
  fd,
  start,
];

/** The mapping of the store at offset = address. */
export const storeMapping = (kernel: Kernel, start: number, length: number, protection: number): BatchEntry =>
  mappingOf(kernel.storeFd, start, length, protection);

/** A `syscall` instruction in the vdso, or else in any code of the fresh image. */
function findSyscall(maps: readonly MapsLine[], memory: ProcessMemory): number {
  const code = maps.filter((area) => area.permissions[2] === 'x' && area.name !== '[vsyscall]');
  code.sort((a, b) => Number(b.name === '[vdso]') - Number(a.name === '[vdso]'));
  for (const area of code) {
    const at = Buffer.from(memory.read(area.start, area.end - area.start)).indexOf('\x0f\x05', 0, 'latin1');
    if (at >= 0) return area.start + at;
  }
  throw new Error('the new image has no system-call instruction to borrow');
}

/** A new store, and the gate mapped from it; then, through the gate, the store gets the agreed descriptor. */
function* createStore(
  kernel: Kernel,
  task: Task,
  memory: ProcessMemory,
  syscallAt: number,
  stackPointer: number,
): Steps<Store> {
  const nameAt = stackPointer - 512;
  memory.write(nameAt, STORE_NAME);
  const created = yield* rawCall(task, syscallAt, SYS.memfd_create, nameAt, MFD_CLOEXEC | kernel.memfdFlags);
  if (isError(created)) throw new Error(`memfd_create in ${task.tid}: errno ${-created}`);
  const store = new Store(task.tid, created);
  writeGate(kernel, store);
  for (const [nr, ...args] of gateMappings(kernel, created)) {
    const at = yield* rawCall(task, syscallAt, nr, ...args);
    if (at !== args[0]) throw new Error(`mapping the gate into ${task.tid}: errno ${-at}`);
  }
  yield* claimDescriptor(kernel, task, store, created);
  return store;
}

/** Moves the store's descriptor to its number, whatever limit the program has set itself. */
function* claimDescriptor(kernel: Kernel, task: Task, store: Store, created: number): Steps<void> {
  const limit = getLimit(task.tid, 'openFiles');
  const needed = BigInt(kernel.storeFd + 1);
  const tooLow = limit.soft < needed;
  if (tooLow) yield* limitFiles(kernel, task, store, needed, limit.hard < needed ? needed : limit.hard);
  yield* moveDescriptor(kernel, task, created);
  if (tooLow) yield* limitFiles(kernel, task, store, limit.soft, limit.hard);
}

/** The limit must allow the store's number. */
export function* moveDescriptor(kernel: Kernel, task: Task, created: number): Steps<void> {
  const moved = yield* call(kernel, task, SYS.dup3, created, kernel.storeFd, O_CLOEXEC);
  if (isError(moved)) throw new Error(`dup3 of the store in ${task.tid}: errno ${-moved}`);
  yield* call(kernel, task, SYS.close, created);
}

/** By the task itself: only it may always do so. */
export function* limitFiles(
  kernel: Kernel,
  task: Task,
  store: Store,
  soft: bigint,
  hard: bigint,
): Steps<void> {
  store.write(GATE_LISTS, new Uint8Array(new BigUint64Array([soft, hard]).buffer));
  yield* call(kernel, task, SYS.prlimit64, 0, RLIMIT_NOFILE, GATE_LISTS, 0);
}

/** Fills the gate's part of a store. */
export function writeGate(kernel: Kernel, store: Store): void {
  store.write(GATE_START, kernel.gate.code);
  store.write(GATE_DATA, new Uint8Array(PAGE));
}

/** The gate's mappings: data and lists first, for the results of a list that maps them; then the code. */
export function gateMappings(kernel: Kernel, fd = kernel.storeFd): BatchEntry[] {
  return [
    mappingOf(fd, GATE_DATA, GATE_END - GATE_DATA, PROT_READ | PROT_WRITE),
    mappingOf(fd, GATE_START, GATE_DATA - GATE_START, PROT_READ | PROT_EXEC),
  ];
}

const ZEROS = new Uint8Array(PAGE);

/** Copies what is not zero: the store's holes read as zeros. */
export function copyIn(memory: ProcessMemory, store: Store, start: number, end: number): void {
  const chunk = new Uint8Array(Math.min(end - start, 1 << 20));
  for (let at = start; at < end; at += chunk.length) {
    const got = memory.readInto(at, chunk.subarray(0, Math.min(chunk.length, end - at)));
    for (let page = 0; page < got; page += PAGE) {
      const bytes = chunk.subarray(page, Math.min(page + PAGE, got));
      if (Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) !== 0) store.write(at + page, bytes);
    }
  }
}

/**
 * The stack to its full limit, below the pages with the argument and environment strings: these stay
 * private, because /proc/PID/cmdline and environ read anonymous memory only (mm/util.c, get_cmdline with
 * FOLL_ANON). The block with argc, the pointers and the auxiliary vector is moved below that border, so
 * that no frame and no environment array lies in a private page.
 */
function moveStack(
  task: Task,
  memory: ProcessMemory,
  store: Store,
  stack: MapsLine,
  entry: Registers,
  maps: readonly MapsLine[],
): { start: number; end: number } {
  const strings = statField(task.tid, STAT_ARG_START);
  const border = pageDown(strings);
  const sp = entry.get('rsp');
  const block = memory.read(sp, strings - sp);
  const newSp = border - block.length - ((border - block.length) % 16);
  const below = maps.filter((area) => area.end <= stack.start).at(-1)?.end ?? 0;
  const { soft } = getLimit(task.tid, 'stack');
  const size = Number(soft < BigInt(LARGEST_STACK) ? soft : BigInt(LARGEST_STACK));
  const start = Math.max(pageDown(stack.end - size), below + Math.min(SMALLEST_GAP, PAGE * 256));
  store.write(newSp, block);
  entry.set('rsp', newSp);
  return { start: Math.min(start, pageDown(newSp)), end: border };
}

export const setAllBlocked = (tid: number): void => {
  ptrace.setSigmask(tid, new Uint8Array(ptrace.SIGSET_SIZE).fill(0xff));
};
