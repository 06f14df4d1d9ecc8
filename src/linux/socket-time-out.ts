/** SO_RCVTIMEO and SO_SNDTIMEO (socket(7)) of a descriptor in another process. */
import { closeSync } from 'node:fs';
import { c } from './ffi.js';
import { SYS } from './syscall-numbers.js';

/** asm-generic/socket.h */
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
/** pidfd_open(2), of a thread; since Linux 6.9. */
const PIDFD_THREAD = 0o200;

/**
 * @param tid of the thread whose descriptor it is; @param pid of its process, for older kernels
 * @returns milliseconds; undefined without a time-out, and for what is no socket
 */
export function socketTimeOut(
  pid: number,
  tid: number,
  descriptor: number,
  direction: 'receive' | 'send',
): number | undefined {
  let process = Number(c.syscall3(SYS.pidfd_open, tid, PIDFD_THREAD, 0));
  if (process < 0) process = Number(c.syscall3(SYS.pidfd_open, pid, 0, 0));
  if (process < 0) return undefined;
  const copy = Number(c.syscall3(SYS.pidfd_getfd, process, descriptor, 0));
  closeSync(process);
  if (copy < 0) return undefined;
  // struct timeval
  const time = new BigInt64Array(2);
  const length = new Uint32Array([time.byteLength]);
  const option = direction === 'receive' ? SO_RCVTIMEO : SO_SNDTIMEO;
  const known = c.getsockopt(copy, SOL_SOCKET, option, time, length) === 0;
  closeSync(copy);
  const [seconds, microseconds] = time;
  if (!known || (seconds === 0n && microseconds === 0n)) return undefined;
  return Number(seconds) * 1000 + Number(microseconds) / 1000;
}
