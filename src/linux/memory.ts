/**
 * Reading and writing a tracee's memory. `/proc/PID/mem` writes read-only *private* pages too, by
 * copy-on-write (mm/memory.c, FOLL_FORCE); for read-only *shared* pages it answers EIO: those are
 * written through the store.
 */
import { closeSync, openSync } from 'node:fs';
import { c } from './ffi.js';
import { isHiding, keptOpen } from './kept-open.js';
import { threadGroup } from './proc.js';

/** A descriptor that no call accepts. */
const NONE = -1;

interface Opened {
  fd: number;
  /** Somebody else closes it. */
  kept: boolean;
}

function open(pid: number): Opened {
  try {
    return { fd: openSync(`/proc/${pid}/mem`, 'r+'), kept: false };
  } catch (error) {
    const kept = isHiding(error) ? keptOpen(threadGroup(pid)) : undefined;
    if (kept) return { fd: kept.memory, kept: true };
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return { fd: NONE, kept: true };
    throw error;
  }
}

export class ProcessMemory implements Disposable {
  readonly #fd: number;
  readonly #kept: boolean;

  /** @param pid any task whose address space is meant; of one that is gone nothing can be read or written */
  constructor(pid: number) {
    const { fd, kept } = open(pid);
    this.#fd = fd;
    this.#kept = kept;
  }

  /** @returns bytes read; fewer than asked where the mapping ends or the process is gone */
  readInto(address: number, buffer: Uint8Array): number {
    return Math.max(0, Number(c.pread(this.#fd, buffer, buffer.length, address)));
  }

  read(address: number, length: number): Uint8Array {
    const buffer = new Uint8Array(length);
    return buffer.subarray(0, this.readInto(address, buffer));
  }

  /** @returns whether all bytes were written */
  write(address: number, bytes: Uint8Array): boolean {
    return Number(c.pwrite(this.#fd, bytes, bytes.length, address)) === bytes.length;
  }

  [Symbol.dispose](): void {
    if (!this.#kept) closeSync(this.#fd);
  }
}
