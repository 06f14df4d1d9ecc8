/** A file behind private memory of the store: the supervisor keeps it open, once for all mappings of it. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { PAGE, type Store } from '../memory/store.js';

export class MappedFile {
  static readonly #open = new Map<string, MappedFile>();
  #users = 0;

  private constructor(
    readonly fd: number,
    readonly key: string,
  ) {}

  /**
   * @param path to the mapped file itself, such as /proc/PID/fd/N
   * @param inode that it must have
   * @returns undefined when it cannot be read, or is another file by now
   */
  static of(path: string, inode?: number): MappedFile | undefined {
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch {
      return undefined;
    }
    const { dev, ino } = fstatSync(fd);
    const key = `${dev}:${ino}`;
    const known = MappedFile.#open.get(key);
    const other = inode !== undefined && ino !== inode;
    if (known || other) closeSync(fd);
    if (known || other) return other ? undefined : known;
    const file = new MappedFile(fd, key);
    MappedFile.#open.set(key, file);
    return file;
  }

  hold(): void {
    this.#users++;
  }

  letGo(): void {
    if (--this.#users > 0) return;
    MappedFile.#open.delete(this.key);
    closeSync(this.fd);
  }

  get size(): number {
    return fstatSync(this.fd).size;
  }

  /** @returns the bytes at `offset`, with zeros behind the file's end */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const got = readSync(this.fd, bytes, done, length - done, offset + done);
      if (got === 0) break;
      done += got;
    }
    return bytes;
  }
}

/** Writes the file's bytes into the store, page by page, as far as the file reaches. */
export function fillFromFile(
  store: Store,
  start: number,
  end: number,
  file: MappedFile,
  offset: number,
): void {
  const CHUNK = 256 * PAGE;
  const last = Math.min(end, start + Math.max(0, Math.ceil((file.size - offset) / PAGE) * PAGE));
  for (let at = start; at < last; at += CHUNK)
    store.write(at, file.read(offset + at - start, Math.min(CHUNK, last - at)));
  if (last < end) store.punch(last, end - last);
}
