/**
 * The store: the one sparse memfd behind all shared writable memory of a process image. File offset =
 * virtual address, so no table is needed to find a byte, and what is not mapped is a hole.
 */
import { closeSync, openSync } from 'node:fs';
import { Gone } from '../errors/gone.js';
import { ENXIO } from '../linux/errno.js';
import { c, errno } from '../linux/ffi.js';

export const PAGE = 4096;
export const pageDown = (address: number): number => address - (address % PAGE);
export const pageUp = (address: number): number => pageDown(address + PAGE - 1);

/** All of user space (arch/x86/include/asm/page_64_types.h: TASK_SIZE_MAX, 4-level paging). */
const STORE_SIZE = 2 ** 47;
const FALLOC_FL_PUNCH_HOLE_KEEP_SIZE = 3;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const COPY_CHUNK = 1 << 22;

/** The descriptor is closed, and its number may be another store's by now. */
export class StoreGone extends Gone {}

export class Store implements Disposable {
  #open: number | undefined;

  /** Takes over the memfd that task `pid` holds as descriptor `fd`, and gives it its size. */
  constructor(pid: number, fd: number, size = STORE_SIZE) {
    this.#open = openSync(`/proc/${pid}/fd/${fd}`, 'r+');
    // From here, not from the program: its RLIMIT_FSIZE would forbid it.
    if (c.ftruncate(this.#fd, size) !== 0) throw new Error(`ftruncate of the store: errno ${errno()}`);
  }

  get #fd(): number {
    if (this.#open === undefined) throw new StoreGone('the store of a process that has ended');
    return this.#open;
  }

  read(address: number, buffer: Uint8Array): void {
    const got = Number(c.pread(this.#fd, buffer, buffer.length, address));
    if (got !== buffer.length) throw new Error(`reading the store at 0x${address.toString(16)}: got ${got}`);
  }

  write(address: number, bytes: Uint8Array): void {
    const put = Number(c.pwrite(this.#fd, bytes, bytes.length, address));
    if (put !== bytes.length)
      throw new Error(`writing the store at 0x${address.toString(16)}: errno ${errno()}`);
  }

  /** Frees the pages of a range: it reads as zeros afterwards. */
  punch(address: number, length: number): void {
    if (length <= 0) return;
    if (c.fallocate(this.#fd, FALLOC_FL_PUNCH_HOLE_KEEP_SIZE, address, length) !== 0) {
      throw new Error(`punching the store at 0x${address.toString(16)}: errno ${errno()}`);
    }
  }

  /** The next range with data at or after `from`, below `limit`. */
  nextExtent(from: number, limit: number): { start: number; end: number } | undefined {
    const start = Number(c.lseek(this.#fd, from, SEEK_DATA));
    if (start < 0) {
      if (errno() === ENXIO) return undefined;
      throw new Error(`SEEK_DATA in the store: errno ${errno()}`);
    }
    if (start >= limit) return undefined;
    return { start, end: Math.min(limit, Number(c.lseek(this.#fd, start, SEEK_HOLE))) };
  }

  /** Copies the data of [from, to) into `target`, to addresses `shift` higher; holes stay holes. */
  *copyTo(target: Store, from: number, to: number, shift = 0): Generator<number> {
    const offsets = [new BigInt64Array(1), new BigInt64Array(1)] as const;
    for (let extent = this.nextExtent(from, to); extent; extent = this.nextExtent(extent.end, to)) {
      let at = extent.start;
      while (at < extent.end) {
        offsets[0][0] = BigInt(at);
        offsets[1][0] = BigInt(at + shift);
        const length = Math.min(COPY_CHUNK, extent.end - at);
        const copied = Number(c.copyFileRange(this.#fd, offsets[0], target.#fd, offsets[1], length, 0));
        if (copied <= 0) throw new Error(`copying the store at 0x${at.toString(16)}: errno ${errno()}`);
        at += copied;
        yield copied;
      }
    }
  }

  [Symbol.dispose](): void {
    if (this.#open !== undefined) closeSync(this.#open);
    this.#open = undefined;
  }
}
