/**
 * Files of /proc/PID that stay open as long as an address space is in use. The kernel hides memory and areas of a process
 * that is not dumpable from its own user, even from its tracer (kernel/ptrace.c, __ptrace_may_access). It asks when a file is
 * opened, and an open one keeps its address space (fs/proc/base.c, mem_open): so they are opened when it is young.
 */
import { closeSync, openSync, readSync } from 'node:fs';

const CHUNK = 1 << 16;

export class KeptOpen implements Disposable {
  readonly memory: number;
  readonly #maps: number;

  /** @param pid a process that is not hidden now */
  constructor(pid: number) {
    this.#maps = openSync(`/proc/${pid}/maps`, 'r');
    try {
      this.memory = openSync(`/proc/${pid}/mem`, 'r+');
    } catch (error) {
      closeSync(this.#maps);
      throw error;
    }
    this.serve(pid);
  }

  /** A further process that uses the address space: a vfork child. */
  serve(pid: number): void {
    byProcess.set(pid, this);
  }

  /** It uses the address space no more; after an exec it has another one already. */
  leave(pid: number): void {
    if (byProcess.get(pid) === this) byProcess.delete(pid);
  }

  /** The areas as they are now. */
  readMaps(): string {
    const parts: Buffer[] = [];
    for (let at = 0; ; at += parts.at(-1)!.length) {
      const part = Buffer.allocUnsafe(CHUNK);
      const got = readSync(this.#maps, part, 0, CHUNK, at);
      if (got === 0) return Buffer.concat(parts).toString('utf8');
      parts.push(part.subarray(0, got));
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#maps);
    closeSync(this.memory);
  }
}

const byProcess = new Map<number, KeptOpen>();

export const keptOpen = (pid: number): KeptOpen | undefined => byProcess.get(pid);

/** Whether the kernel refused because it hides the process; anything else means that the process is gone. */
export const isHiding = (error: unknown): boolean => {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EACCES' || code === 'EPERM';
};
