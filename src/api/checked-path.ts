/**
 * Opening a private directory so that nobody else can have a say in which one it is. Node.js has no openat(2), but
 * `/proc/self/fd/N/name` is resolved from the open directory N: the path is walked one name at a time, each directory is
 * held open while it is checked, and nothing is ever looked up by the whole path again.
 */
import fs from 'node:fs';

/** asm-generic/fcntl.h: a place in the tree, for which search permission is enough. */
const O_PATH = 0o10000000;
const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = fs.constants;
const PLACE = O_PATH | O_DIRECTORY | O_NOFOLLOW;
const STICKY = 0o1000;
/** As the kernel's own (include/linux/namei.h, MAXSYMLINKS). */
const MOST_LINKS = 40;

/** Why a directory was not opened. */
export interface Fault {
  kind: 'missing' | 'unusable' | 'untrusted';
  /** With which part of it something is wrong. */
  path: string;
  why: string;
  /** The other user that it belongs to. */
  owner?: number;
  cause?: Error;
}

class Untrusted extends Error {
  constructor(readonly fault: Fault) {
    super(fault.why);
  }
}

/**
 * Opens `directory`, which belongs to `uid` and has no permission for others, below parents that only root and `uid`
 * can change (with the sticky bit, others may add to them but not exchange what is there).
 * @param create makes the last part when it is missing
 * @returns a descriptor
 */
export function openChecked(directory: string, uid: number, create: boolean): number | Fault {
  const walk = new Walk(uid);
  try {
    return walk.to(directory, create);
  } catch (error) {
    if (error instanceof Untrusted) return error.fault;
    const cause = error as NodeJS.ErrnoException;
    const why = cause.message.split(',')[0]!;
    return { kind: cause.code === 'ENOENT' ? 'missing' : 'unusable', path: walk.reached, why, cause };
  }
}

class Walk {
  readonly #uid: number;
  /** Who owns `/` can exchange everything. In a user namespace it is where the host's root shows as nobody. */
  readonly #rootOwner: number;
  #at: number;
  #path = '/';
  /** What was looked at last. */
  reached = '/';

  constructor(uid: number) {
    this.#uid = uid;
    this.#at = fs.openSync('/', PLACE);
    this.#rootOwner = fs.fstatSync(this.#at).uid;
  }

  to(directory: string, create: boolean): number {
    try {
      const names = directory.split('/').filter(Boolean);
      const last = names.pop();
      if (last === undefined) this.#distrust('is the root directory');
      this.#descend(names);
      return this.#openLast(last!, create);
    } finally {
      fs.closeSync(this.#at);
    }
  }

  #descend(names: string[]): void {
    let links = 0;
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      const entry = this.#entry(name);
      const status = fs.lstatSync(entry);
      if (!status.isSymbolicLink()) {
        this.#enter(entry, path(this.#path, name));
        continue;
      }
      // Who made the link decides where we go. The directory is checked: nobody else can exchange the link now.
      if (!this.#isTrusted(status.uid)) this.#distrust(`belongs to user ${status.uid}`, name, status.uid);
      if (++links > MOST_LINKS) this.#distrust('has too many symbolic links');
      const target = fs.readlinkSync(entry);
      if (target.startsWith('/')) this.#enter('/', '/');
      names.unshift(...target.split('/').filter(Boolean));
    }
  }

  #enter(entry: string, name: string): void {
    const next = fs.openSync(entry, PLACE);
    fs.closeSync(this.#at);
    this.#at = next;
    this.#path = name;
    const { uid, mode } = fs.fstatSync(next);
    if (!this.#isTrusted(uid)) this.#distrust(`belongs to user ${uid}`, '', uid);
    if ((mode & 0o022) !== 0 && (mode & STICKY) === 0)
      this.#distrust(`can be changed by others (mode ${octal(mode)})`);
  }

  #openLast(name: string, create: boolean): number {
    const entry = this.#entry(name);
    if (create) {
      try {
        fs.mkdirSync(entry, { mode: 0o700 });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
    const status = fs.lstatSync(entry);
    if (!status.isDirectory()) this.#distrust('is not a directory', name);
    if (status.uid !== this.#uid) this.#distrust(`belongs to user ${status.uid}`, name, status.uid);
    const opened = fs.openSync(entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    const { uid, mode } = fs.fstatSync(opened);
    if (uid === this.#uid && (mode & 0o077) === 0) return opened;
    fs.closeSync(opened);
    return this.#distrust(`is open to others (mode ${octal(mode)})`, name);
  }

  #entry(name: string): string {
    this.reached = path(this.#path, name);
    return `/proc/self/fd/${this.#at}/${name}`;
  }

  #isTrusted(uid: number): boolean {
    return uid === 0 || uid === this.#uid || uid === this.#rootOwner;
  }

  #distrust(why: string, name = '', owner?: number): never {
    const fault: Fault = { kind: 'untrusted', path: path(this.#path, name), why };
    if (owner !== undefined) fault.owner = owner;
    throw new Untrusted(fault);
  }
}

const path = (parent: string, name: string): string =>
  name === '' ? parent : `${parent === '/' ? '' : parent}/${name}`;

const octal = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0');
