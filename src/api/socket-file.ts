import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AtlasError } from '../errors/atlas-error.js';

/** `sun_path` of `struct sockaddr_un` has 108 bytes, one of them for the final NUL (linux/un.h). */
const LONGEST_SOCKET_PATH = 107;

const SUFFIX = '.sock';

/** Sockets on their way in or out have hidden names of at most this many bytes: `.PID.N`, `.INODE`. */
const LONGEST_HIDDEN_NAME = 16;
let hiddenNames = 0;

export function socketPath(directory: string, name: string): string {
  const file = path.join(directory, name + SUFFIX);
  checkLength(file);
  return file;
}

/** The names in `directory` that have a socket, dead or alive. */
export function socketNames(directory: string): string[] {
  return fs
    .readdirSync(directory)
    .filter((entry) => entry.endsWith(SUFFIX) && !entry.startsWith('.'))
    .map((entry) => entry.slice(0, -SUFFIX.length))
    .sort();
}

/** A socket that listens under a name which nobody else has, readable and writable by its owner only. */
export interface PublishedSocket {
  readonly path: string;
  /** Removes the name, unless it meanwhile belongs to somebody else. */
  remove(): void;
}

/**
 * Makes `server` listen at `NAME.sock`; `undefined` when a live run has the name.
 *
 * bind(2) creates the file before listen(2) accepts anybody, and in between the socket looks dead to others,
 * who would remove it. So the socket is born under a private name and linked to its public one when it
 * listens; link(2) never replaces, so of two runs that want one name exactly one gets it.
 */
export async function publishSocket(
  server: net.Server,
  directory: string,
  name: string,
): Promise<PublishedSocket | undefined> {
  const published = socketPath(directory, name);
  checkLength(path.join(directory, 'x'.repeat(LONGEST_HIDDEN_NAME)));
  let unpublished = server.address() as string | null;
  if (unpublished === null) {
    unpublished = path.join(directory, `.${process.pid}.${hiddenNames++ % 100_000}`);
    fs.rmSync(unpublished, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(unpublished!, () => {
        server.off('error', reject);
        resolve();
      });
    });
    fs.chmodSync(unpublished, 0o600);
  }
  if (!(await linkUnlessAlive(unpublished, published))) return undefined;
  const own = fs.lstatSync(published);
  fs.unlinkSync(unpublished);
  return {
    path: published,
    remove: () => {
      const current = fs.lstatSync(published, { throwIfNoEntry: false });
      if (current?.ino === own.ino && current.dev === own.dev) fs.rmSync(published, { force: true });
    },
  };
}

async function linkUnlessAlive(existing: string, link: string): Promise<boolean> {
  for (;;) {
    try {
      fs.linkSync(existing, link);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (await isAlive(link)) return false;
    await removeDead(link);
  }
}

/** Whether somebody listens. A supervisor that was killed leaves a file to which connect(2) is refused. */
export function isAlive(socket: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const connection = net.connect(socket);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT' || error.code === 'ENOTSOCK')
        resolve(false);
      // A full backlog means that somebody is there, only busy.
      else if (error.code === 'EAGAIN') resolve(true);
      else reject(error);
    });
  });
}

/** A claim that was not followed by its removal in this time is that of a process which died in between. */
const CLAIM_SECONDS = 10;

/**
 * Removes a socket that was found dead, if it still is. Between that finding and an unlink(2), a new run may
 * have taken the name. So the right to remove one socket is claimed first, by a second hard link whose name
 * has the inode's number: only one process can make it, it keeps the number from being used again, and
 * as nobody else may take the public name away from the dead inode, the name is safe to remove.
 */
export async function removeDead(socket: string): Promise<void> {
  const seen = fs.lstatSync(socket, { throwIfNoEntry: false });
  if (!seen) return;
  const claim = path.join(path.dirname(socket), `.${seen.ino.toString(36)}`);
  try {
    fs.linkSync(socket, claim);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    if (code !== 'EEXIST') throw error;
    // link(2) sets the inode's ctime: the claim's age.
    const held = fs.lstatSync(claim, { throwIfNoEntry: false });
    if (held && Date.now() - held.ctimeMs > CLAIM_SECONDS * 1000) fs.rmSync(claim, { force: true });
    await sleep(5);
    return;
  }
  try {
    const claimed = fs.lstatSync(claim);
    if (claimed.ino !== seen.ino || (await isAlive(claim))) return;
    const current = fs.lstatSync(socket, { throwIfNoEntry: false });
    if (current?.ino === claimed.ino) fs.unlinkSync(socket);
  } finally {
    fs.rmSync(claim, { force: true });
  }
}

function checkLength(file: string): void {
  const length = Buffer.byteLength(file);
  if (length <= LONGEST_SOCKET_PATH) return;
  throw new AtlasError(
    'bad-usage',
    `The control socket's path has ${length} bytes; the kernel allows ${LONGEST_SOCKET_PATH}: ${file}`,
    'Give a shorter --name, or a shorter directory in ATLAS_RUNTIME_DIR.',
  );
}
