/** The heap's borders. They lie in the store, because the gate's brk moves the break (x64/gate-break.ts). */
import type { Store } from '../memory/store.js';
import { GATE_BREAK_END, GATE_BREAK_LOCK, GATE_BREAK_START, GATE_BREAK_TOP } from '../x64/gate.js';

export class Heap {
  constructor(readonly store: Store) {}

  get start(): number {
    return this.#word(GATE_BREAK_START);
  }

  /** The program break. */
  get end(): number {
    return this.#word(GATE_BREAK_END);
  }

  set end(value: number) {
    this.#setWord(GATE_BREAK_END, value);
  }

  /** The end of what is mapped; without access from the break's page on. */
  get top(): number {
    return this.#word(GATE_BREAK_TOP);
  }

  set top(value: number) {
    this.#setWord(GATE_BREAK_TOP, value);
  }

  /** A thread is inside the gate's brk: what lies above its new break may be inaccessible already. */
  get isMoving(): boolean {
    const word = new Uint8Array(4);
    this.store.read(GATE_BREAK_LOCK, word);
    return word.some((byte) => byte !== 0);
  }

  set(start: number, end: number, top: number): void {
    this.#setWord(GATE_BREAK_START, start);
    this.end = end;
    this.top = top;
  }

  #word(address: number): number {
    const word = new BigUint64Array(1);
    this.store.read(address, new Uint8Array(word.buffer));
    return Number(word[0]);
  }

  #setWord(address: number, value: number): void {
    this.store.write(address, new Uint8Array(new BigUint64Array([BigInt(value)]).buffer));
  }
}
