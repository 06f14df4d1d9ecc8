import fs from 'node:fs';

/**
 * Writes all of `text`, synchronously. Not `process.stdout.write`: merely touching `process.stdout` makes a pipe
 * non-blocking, for everybody who shares it, and the supervised program shares ours.
 */
export function writeAll(descriptor: number, text: string): void {
  let rest: Uint8Array = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(descriptor, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // The reader has gone (`atlas ps | head`), which is its right.
      if (code === 'EPIPE') return;
      if (code !== 'EAGAIN') throw error;
      // Somebody else made the pipe non-blocking and its reader is slow.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

export const stdout = { write: (text: string) => writeAll(1, text) };
export const stderr = { write: (text: string) => writeAll(2, text) };
