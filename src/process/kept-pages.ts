/**
 * The table of freed pages that the gate keeps for reuse (x64/gate-recycle.ts). A slot whose page the program
 * uses again, or has unmapped, is in the way of others: when the gate's patience is over, these are emptied.
 */
import { PAGE, type Store } from '../memory/store.js';
import { GATE_KEPT, GATE_PATIENCE, KEPT_PAGES } from '../x64/gate.js';
import type { Kernel } from './kernel.js';
import type { Space } from './model.js';
import { pause, type Steps } from './steps.js';

/** Pages. */
const LEAST_PATIENCE = 1024;
const MOST_PATIENCE = 1 << 20;
/** How many slots are looked at before other events get their turn. */
const SLOTS_PER_TURN = 64;
/** Milliseconds. A table that is in the way again so soon is full with good reason. */
const SOON = 1000;

export function setPatience({ store, patience }: Space): void {
  store.write(GATE_PATIENCE, new Uint8Array(Int32Array.of(patience).buffer));
}

/** Whether the gate has asked for it, and nobody is at it. */
export function wantsSweep(space: Space): boolean {
  const ranges = new Int32Array(1);
  space.store.read(GATE_PATIENCE, new Uint8Array(ranges.buffer));
  return ranges[0]! <= 0 && !space.sweeping;
}

/** Empties the slots of pages that are not kept any more; the program runs meanwhile. */
export function* sweepKeptPages(kernel: Kernel, space: Space): Steps<void> {
  const { store } = space;
  space.sweeping = true;
  const table = new BigUint64Array(KEPT_PAGES);
  store.read(GATE_KEPT, new Uint8Array(table.buffer));
  const page = Buffer.alloc(PAGE);
  const empty = new Uint8Array(8);
  for (const [slot, number] of table.entries()) {
    if (slot % SLOTS_PER_TURN === SLOTS_PER_TURN - 1) yield* pause(kernel.scheduler);
    if (space.users === 0) return;
    if (number !== 0n && isKept(store, Number(number) * PAGE, page)) continue;
    if (number !== 0n) store.write(GATE_KEPT + slot * 8, empty);
  }
  space.sweeping = false;
  const now = performance.now();
  space.patience = now - space.sweptAt < SOON ? Math.min(space.patience * 4, MOST_PATIENCE) : LEAST_PATIENCE;
  space.sweptAt = now;
  setPatience(space);
}

/** In the store, and clear: whoever uses a page writes to it. */
function isKept(store: Store, address: number, page: Buffer): boolean {
  store.read(address, page);
  if (!page.equals(ZEROS)) return false;
  return store.nextExtent(address, address + PAGE)?.start === address;
}

const ZEROS = Buffer.alloc(PAGE);
