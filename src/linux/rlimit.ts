/** Resource limits of another process, as /proc/PID/limits tells them: prlimit(2) may be forbidden after setuid. */
import { readFileSync } from 'node:fs';
import { c } from './ffi.js';

export const RLIMIT_NOFILE = 7;
export const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

/** Titles of /proc/PID/limits (fs/proc/base.c, lnames). */
const TITLES = { stack: 'Max stack size', openFiles: 'Max open files' } as const;

export interface ResourceLimit {
  soft: bigint;
  hard: bigint;
}

export function getLimit(pid: number, resource: keyof typeof TITLES): ResourceLimit {
  const text = readFileSync(`/proc/${pid}/limits`, 'utf8');
  const line = text.split('\n').find((row) => row.startsWith(TITLES[resource]));
  const [soft, hard] = (line ?? '').slice(TITLES[resource].length).trim().split(/\s+/);
  const value = (word: string | undefined): bigint =>
    word === undefined || word === 'unlimited' ? RLIM_INFINITY : BigInt(word);
  return { soft: value(soft), hard: value(hard) };
}

/** Sets a limit of our own process. @returns whether it was allowed */
export const setOwnLimit = (resource: number, limit: ResourceLimit): boolean =>
  c.prlimit(0, resource, new BigUint64Array([limit.soft, limit.hard]), null) === 0;
