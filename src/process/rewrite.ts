/**
 * Rewriting a text's call sites in a tracee, before anybody executes it: each jumps to an island instead
 * of being trapped. What cannot be rewritten stays as it was, and is trapped.
 *
 * Islands and rewritten text are private memory: a generation and a fork child have copies of them. An
 * island outlives the library whose sites lead to it (dlclose); a library that comes to the same place
 * gets the same slots.
 */
import { statSync } from 'node:fs';
import { ProcessMemory } from '../linux/memory.js';
import { type MapsLine, readMaps } from '../linux/proc.js';
import { SYS } from '../linux/syscall-numbers.js';
import { PAGE } from '../memory/store.js';
import { type CallSite, findCallSites, SITE_OVERLAP } from '../x64/call-sites.js';
import { assembleSlot, siteJump, SLOT_SIZE } from '../x64/islands.js';
import type { BatchEntry } from './inject.js';
import type { Kernel } from './kernel.js';
import { MAP_ANONYMOUS, MAP_FIXED_NOREPLACE, MAP_PRIVATE, PROT_EXEC, PROT_READ } from './mapping.js';
import type { Heap } from './heap.js';
import type { Island, Space } from './model.js';
import type { Steps } from './steps.js';

/** A private, executable mapping of a file. */
export interface Text {
  start: number;
  length: number;
  /** A path to the mapped file. */
  file: string;
  /** In the file. */
  offset: number;
}

/** How the rewriting reaches the base; the other generations are the space's. */
export interface Reach {
  /** A task of the base's host process. */
  task: number;
  /** Maps an island in all of them, or in none. */
  map: (entry: BatchEntry) => Steps<number>;
}

const ISLAND_SIZE = 2 * PAGE;
/** A rel32 from any byte of the text to any byte of the island, with some room for either's size. */
const REACHABLE = 2 ** 31 - 2 ** 16;
/** Linux's default of vm.mmap_min_addr. */
const LOWEST = 0x1_0000;
/** Kept free for the heap, which grows upwards from the executable's end. */
const HEAP_ROOM = 2 ** 30;
const PIECE = 1 << 20;

export function* rewriteCallSites(kernel: Kernel, space: Space, text: Text, reach: Reach): Steps<void> {
  const hosts = [...space.generations.values()].filter(({ agent }) => agent).map(({ hostPid }) => hostPid);
  const memories = [reach.task, ...hosts].map((task) => new ProcessMemory(task));
  try {
    const sites = callSitesOf(text, memories[0]!);
    if (sites.length === 0) return;
    const island = yield* islandFor(space, text, sites, reach);
    if (!island) {
      kernel.emit('call-sites-kept', { pid: space.hostPid, text: text.start, sites: sites.length });
      return;
    }
    fillIsland(kernel, island, text, sites, memories);
    for (const memory of memories) redirectSites(island, text, sites, memory);
  } finally {
    for (const memory of memories) memory[Symbol.dispose]();
  }
}

/** The call site that an island's code stands for. To the unwinder a thread in an island is still there. */
export function originalSite(space: Pick<Space, 'islands'>, pc: number): number | undefined {
  const island = space.islands.find(({ start }) => pc >= start && pc < start + ISLAND_SIZE);
  return island?.sites[Math.floor((pc - island.start) / SLOT_SIZE)];
}

/** By file, place and time of change: programs that start others again and again read each text once. */
const known = new Map<string, CallSite[]>();

function callSitesOf(text: Text, memory: ProcessMemory): CallSite[] {
  let key: string | undefined;
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = statSync(text.file);
    key = [dev, ino, size, mtimeMs, ctimeMs, text.offset, text.length].join(':');
  } catch {
    // Deleted or out of reach: searched anew.
  }
  const found = (key === undefined ? undefined : known.get(key)) ?? search(text, memory);
  if (key !== undefined) known.set(key, found);
  return found;
}

function search(text: Text, memory: ProcessMemory): CallSite[] {
  const sites = new Map<number, CallSite>();
  const piece = new Uint8Array(Math.min(PIECE, text.length));
  for (let at = 0; at < text.length; at += PIECE - SITE_OVERLAP) {
    const got = memory.readInto(text.start + at, piece.subarray(0, Math.min(PIECE, text.length - at)));
    for (const site of findCallSites(piece.subarray(0, got))) {
      sites.set(at + site.offset, { ...site, offset: at + site.offset });
    }
    if (got < piece.length) break;
  }
  return [...sites.values()];
}

/** An island near the text with a slot for each of the sites; a new one if need be. */
function* islandFor(
  space: Space,
  text: Text,
  sites: readonly CallSite[],
  reach: Reach,
): Steps<Island | undefined> {
  for (const island of space.islands) {
    const added = sites.filter(({ offset }) => !island.sites.includes(text.start + offset)).length;
    if (isNear(text, island.start) && (island.sites.length + added) * SLOT_SIZE <= ISLAND_SIZE) return island;
  }
  if (sites.length * SLOT_SIZE > ISLAND_SIZE) return undefined;
  for (const start of placesFor(space, text, readMaps(reach.task))) {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    // Executable from the start: a process under PR_SET_MDWE cannot make it so later.
    const mapped = yield* reach.map([SYS.mmap, start, ISLAND_SIZE, PROT_READ | PROT_EXEC, flags, -1, 0]);
    if (mapped !== start) continue;
    const island: Island = { start, sites: [] };
    space.islands.push(island);
    return island;
  }
  return undefined;
}

const isNear = (text: Text, start: number): boolean =>
  text.start + text.length - start < REACHABLE && start + ISLAND_SIZE - text.start < REACHABLE;

/** Free places in reach, the nearest below the text first, then those above it. */
export function placesFor(
  space: { heap: Pick<Heap, 'start' | 'end'> },
  text: Text,
  maps: readonly MapsLine[],
): number[] {
  const below: number[] = [];
  const above: number[] = [];
  let from = LOWEST;
  for (const area of maps) {
    if (area.start - from >= ISLAND_SIZE) {
      if (area.start <= text.start) below.unshift(area.start - ISLAND_SIZE);
      else above.push(from);
    }
    from = Math.max(from, area.end);
  }
  const inHeap = (start: number): boolean =>
    start + ISLAND_SIZE > space.heap.start && start < space.heap.end + HEAP_ROOM;
  return [...below, ...above].filter((start) => isNear(text, start) && !inHeap(start));
}

/** Gives each site its slot; `island.sites` has the slots' order. */
function fillIsland(
  kernel: Kernel,
  island: Island,
  text: Text,
  sites: readonly CallSite[],
  memories: readonly ProcessMemory[],
): void {
  const slots = new Uint8Array(ISLAND_SIZE).fill(0xcc);
  let first = ISLAND_SIZE;
  let end = 0;
  memories[0]!.readInto(island.start, slots);
  for (const site of sites) {
    const address = text.start + site.offset;
    if (!island.sites.includes(address)) island.sites.push(address);
    const at = island.sites.indexOf(address) * SLOT_SIZE;
    slots.set(assembleSlot(island.start + at, site, address, kernel.gate), at);
    first = Math.min(first, at);
    end = Math.max(end, at + SLOT_SIZE);
  }
  const bytes = slots.subarray(first, end);
  for (const memory of memories) {
    if (!memory.write(island.start + first, bytes)) throw new Error('an island cannot be written');
    const there = memory.read(island.start + first, bytes.length);
    if (Buffer.compare(there, bytes) !== 0) throw new Error('an island does not hold what was written');
  }
}

/** Writes the jumps, a page's at a time, where the text is what the search saw. */
function redirectSites(island: Island, text: Text, sites: readonly CallSite[], memory: ProcessMemory): void {
  const pages = new Map<number, CallSite[]>();
  for (const site of sites) {
    const page = Math.floor(site.offset / PAGE);
    const group = pages.get(page);
    if (group) group.push(site);
    else pages.set(page, [site]);
  }
  for (const group of pages.values()) {
    const first = group[0]!.offset;
    const last = group.at(-1)!;
    const bytes = memory.read(text.start + first, last.offset + last.code.length - first);
    for (const { offset, code } of group) {
      const at = offset - first;
      if (Buffer.compare(bytes.subarray(at, at + code.length), code) !== 0) continue;
      const address = text.start + offset;
      bytes.set(siteJump(address, island.start + island.sites.indexOf(address) * SLOT_SIZE), at);
    }
    memory.write(text.start + first, bytes);
  }
}
