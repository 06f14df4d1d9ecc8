/**
 * Which parts of the address space may hold anything but the store. The gate clears freed memory only where
 * nothing else is mapped (x64/gate-recycle.ts). A mark stays for the life of the image.
 */
import { GATE_FOREIGN, GRANULE_BITS } from '../x64/gate.js';
import type { Space } from './model.js';

const GRANULE = 2 ** GRANULE_BITS;

export function markForeign(space: Pick<Space, 'store'>, start: number, length: number): void {
  const first = Math.floor(start / GRANULE);
  const last = Math.floor((start + Math.max(length, 1) - 1) / GRANULE);
  space.store.write(GATE_FOREIGN + first, new Uint8Array(last - first + 1).fill(1));
}

/** Whether anything but the store may be mapped in the range. */
export function mayBeForeign(space: Pick<Space, 'store'>, start: number, length: number): boolean {
  const first = Math.floor(start / GRANULE);
  const marks = new Uint8Array(Math.floor((start + length - 1) / GRANULE) - first + 1);
  space.store.read(GATE_FOREIGN + first, marks);
  return marks.some((mark) => mark !== 0);
}
