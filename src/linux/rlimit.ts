/** prlimit(2) on another process. */
import { c, errno } from './ffi.js';

export const RLIMIT_STACK = 3;
export const RLIMIT_NOFILE = 7;
export const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

export interface ResourceLimit {
  soft: bigint;
  hard: bigint;
}

export function getLimit(pid: number, resource: number): ResourceLimit {
  const words = new BigUint64Array(2);
  if (c.prlimit(pid, resource, null, words) !== 0) throw new Error(`prlimit of ${pid}: errno ${errno()}`);
  return { soft: words[0]!, hard: words[1]! };
}

/** @returns whether it was allowed */
export const setLimit = (pid: number, resource: number, limit: ResourceLimit): boolean =>
  c.prlimit(pid, resource, new BigUint64Array([limit.soft, limit.hard]), null) === 0;
