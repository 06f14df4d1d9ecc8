/** The names of control sockets in the runtime directory: `NAME.sock`, each of a run that lives or that was killed. */
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AtlasError } from '../errors/atlas-error.js';
import { EAGAIN, ECONNREFUSED, EEXIST, ENOENT } from '../linux/errno.js';
import { connectTo, listenAt, peerOf, tryLock, unlock } from '../linux/unix-socket.js';
import type { RuntimeDirectory } from './runtime-directory.js';

const SUFFIX = '.sock';
/** Milliseconds. Whoever holds the lock makes a few system calls and no more. */
const LONGEST_LOCK = 5000;
const LONGEST_QUEUE = 10_000;
const PAUSE = 5;

/** The path that people see. */
export const socketPath = (directory: RuntimeDirectory, name: string): string =>
  path.join(directory.path, name + SUFFIX);

const entry = (directory: RuntimeDirectory, name: string): string => directory.at(name + SUFFIX);

/** The names in `directory` that have a socket, dead or alive. */
export function socketNames(directory: RuntimeDirectory): string[] {
  return fs
    .readdirSync(directory.at('.'))
    .filter((file) => file.endsWith(SUFFIX) && !file.startsWith('.'))
    .map((file) => file.slice(0, -SUFFIX.length))
    .sort();
}

/**
 * Runs `work` while nobody else gives a name away or takes one: a socket is found dead and removed, or removed and
 * followed by a new one, in one step. The lock is the kernel's, on the directory itself: it ends with its holder.
 */
function locked<T>(directory: RuntimeDirectory, work: () => T): T {
  const deadline = performance.now() + LONGEST_LOCK;
  while (!tryLock(directory.descriptor)) {
    if (performance.now() > deadline) {
      throw new AtlasError(
        'not-finished',
        `Another process has ${directory.path} locked.`,
        'Find it with `fuser` on that directory; it may be stopped (state T in ps).',
      );
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE);
  }
  try {
    return work();
  } finally {
    unlock(directory.descriptor);
  }
}

/** A socket that listens under a name which nobody else has, readable and writable by its owner only. */
export interface PublishedSocket {
  /** For people. */
  readonly path: string;
  /** Removes the name, unless it meanwhile belongs to somebody else. */
  remove(): void;
}

/** Makes `server` listen at `NAME.sock`; `undefined` when a live run has the name. */
export async function publishSocket(
  server: net.Server,
  directory: RuntimeDirectory,
  name: string,
): Promise<PublishedSocket | undefined> {
  const file = entry(directory, name);
  const descriptor = locked(directory, () => {
    if (isAlive(directory, name)) return -EEXIST;
    unlinkSocket(file);
    return listenAt(file);
  });
  if (descriptor === -EEXIST) return undefined;
  if (descriptor < 0) throw socketError(socketPath(directory, name), -descriptor);
  const own = fs.lstatSync(file);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd: descriptor }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    path: socketPath(directory, name),
    remove: () =>
      locked(directory, () => {
        const current = fs.lstatSync(file, { throwIfNoEntry: false });
        if (current?.ino === own.ino && current.dev === own.dev) fs.unlinkSync(file);
      }),
  };
}

/** Whether somebody listens. A supervisor that was killed leaves a file to which connect(2) is refused. */
export function isAlive(directory: RuntimeDirectory, name: string): boolean {
  const result = connectTo(entry(directory, name));
  if (result >= 0) fs.closeSync(result);
  // A full queue means that somebody is there, only busy.
  return result >= 0 || result === -EAGAIN;
}

/** Removes the socket of a run that was killed; that of one that lives, or has just taken the name, stays. */
export function removeDead(directory: RuntimeDirectory, name: string): void {
  locked(directory, () => {
    if (!isAlive(directory, name)) unlinkSocket(entry(directory, name));
  });
}

function unlinkSocket(file: string): void {
  if (fs.lstatSync(file, { throwIfNoEntry: false })?.isSocket()) fs.unlinkSync(file);
}

/**
 * A connection to the run `name`. Nothing was sent over it, and it is told that the other end is this user's own, or
 * root's: who listens gets patches to apply, and is believed.
 */
export async function connect(
  directory: RuntimeDirectory,
  name: string,
  signal?: AbortSignal,
): Promise<net.Socket> {
  const deadline = performance.now() + LONGEST_QUEUE;
  for (;;) {
    if (signal?.aborted) throw socketError(socketPath(directory, name), EAGAIN);
    const descriptor = connectTo(entry(directory, name));
    if (descriptor >= 0) {
      const { uid } = peerOf(descriptor);
      if (uid === process.geteuid!() || uid === 0)
        return new net.Socket({ fd: descriptor, readable: true, writable: true });
      fs.closeSync(descriptor);
      throw new AtlasError(
        'refused',
        `At ${socketPath(directory, name)} a process of user ${uid} listens.`,
        'Atlas talks to supervisors of the same user and of root only; remove the socket.',
      );
    }
    if (descriptor !== -EAGAIN || performance.now() > deadline) {
      if (descriptor === -ECONNREFUSED) removeDead(directory, name);
      throw socketError(socketPath(directory, name), -descriptor);
    }
    await sleep(PAUSE);
  }
}

function socketError(file: string, errno: number): AtlasError {
  switch (errno) {
    case ENOENT:
    case ECONNREFUSED:
      return new AtlasError(
        'no-such-process',
        `No supervisor answers at ${file}.`,
        '`atlas ps` lists the runs that are alive.',
      );
    case EAGAIN:
      return new AtlasError(
        'not-finished',
        `The supervisor at ${file} does not take further connections.`,
        'It may be stopped (state T in ps) or very busy.',
      );
    default:
      return new AtlasError('refused', `The control socket ${file} cannot be used (errno ${errno}).`);
  }
}
