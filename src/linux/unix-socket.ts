/**
 * Unix sockets (unix(7)) where Node.js does not reach: who is at the other end, and a name that belongs to its
 * owner only from the moment it exists. Descriptors are close-on-exec and do not block.
 */
import { closeSync, fchmodSync } from 'node:fs';
import { c, errno } from './ffi.js';

/** linux/socket.h, asm-generic/socket.h */
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** struct sockaddr_un { sun_family; char sun_path[108]; }, linux/un.h */
const ADDRESS_BYTES = 110;
const BACKLOG = 511;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/** struct ucred, linux/socket.h */
export interface Peer {
  pid: number;
  uid: number;
  gid: number;
}

function address(path: string): Buffer {
  const bytes = Buffer.alloc(ADDRESS_BYTES);
  if (Buffer.byteLength(path) > ADDRESS_BYTES - 3) throw new Error(`longer than sun_path: ${path}`);
  bytes.writeUInt16LE(AF_UNIX);
  bytes.write(path, 2);
  return bytes;
}

/** A new socket that `prepare` has made ready, or the errno of what failed, negated. */
function socketWith(prepare: (descriptor: number) => boolean): number {
  const descriptor = c.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) as number;
  if (descriptor < 0) return -errno();
  if (prepare(descriptor)) return descriptor;
  const failure = errno();
  closeSync(descriptor);
  return -failure;
}

/** @returns a connected descriptor, or the errno negated: EAGAIN when too many wait to be accepted */
export const connectTo = (path: string): number =>
  socketWith((descriptor) => c.connect(descriptor, address(path), ADDRESS_BYTES) === 0);

/** @returns a listening descriptor whose name has mode 0600, or the errno negated */
export const listenAt = (path: string): number =>
  socketWith((descriptor) => {
    // The name gets the mode of the socket's own inode (net/unix/af_unix.c, unix_bind_bsd).
    fchmodSync(descriptor, 0o600);
    return c.bind(descriptor, address(path), ADDRESS_BYTES) === 0 && c.listen(descriptor, BACKLOG) === 0;
  });

/** Who was at the other end when it began to listen. */
export function peerOf(descriptor: number): Peer {
  const credentials = new Int32Array(3);
  const length = new Uint32Array([credentials.byteLength]);
  if (c.getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0)
    throw new Error(`SO_PEERCRED: errno ${errno()}`);
  const [pid, uid, gid] = credentials;
  return { pid: pid!, uid: uid! >>> 0, gid: gid! >>> 0 };
}

/** flock(2), exclusive, without waiting. @returns whether it is ours now */
export const tryLock = (descriptor: number): boolean => c.flock(descriptor, LOCK_EX | LOCK_NB) === 0;

export const unlock = (descriptor: number): void => void c.flock(descriptor, LOCK_UN);
