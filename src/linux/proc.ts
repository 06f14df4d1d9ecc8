/** What /proc tells about a process or a task (proc(5)). Plain parsers of plain files. */
import { closeSync, openSync, readFileSync, readlinkSync, readdirSync } from 'node:fs';
import { isHiding, keptOpen } from './kept-open.js';

/** One line of /proc/PID/maps. */
export interface MapsLine {
  start: number;
  /** Exclusive. */
  end: number;
  /** Four characters, such as `r-xp` or `rw-s`. */
  permissions: string;
  offset: number;
  device: string;
  inode: number;
  name: string;
}

export function parseMaps(text: string): MapsLine[] {
  const lines: MapsLine[] = [];
  for (const line of text.split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) (\S+) (\d+)\s*(.*)$/.exec(line);
    if (!match) continue;
    const [, start, end, permissions, offset, device, inode, name] = match as unknown as string[];
    lines.push({
      start: Number.parseInt(start!, 16),
      end: Number.parseInt(end!, 16),
      permissions: permissions!,
      offset: Number.parseInt(offset!, 16),
      device: device!,
      inode: Number(inode),
      name: name!,
    });
  }
  return lines;
}

/** The kernel's own list of a process's mappings: the truth about areas. A process that is gone has none. */
export function readMaps(pid: number): MapsLine[] {
  try {
    return parseMaps(readFileSync(`/proc/${pid}/maps`, 'utf8'));
  } catch (error) {
    if (!isHiding(error)) return [];
    const kept = keptOpen(threadGroup(pid));
    if (!kept) throw error;
    return parseMaps(kept.readMaps());
  }
}

/** Whether the kernel lets nobody without CAP_SYS_PTRACE look at the process: it is not dumpable. */
export function isHidden(pid: number): boolean {
  try {
    closeSync(openSync(`/proc/${pid}/maps`, 'r'));
    return false;
  } catch (error) {
    return isHiding(error);
  }
}

/** The kernel's two-letter flags of the area that begins at `start` (proc(5), smaps, VmFlags). */
export function readVmFlags(pid: number, start: number): string[] {
  const text = readOrUndefined(`/proc/${pid}/smaps`) ?? '';
  const at = text.search(new RegExp(`^0*${start.toString(16)}-`, 'm'));
  return at < 0 ? [] : (/^VmFlags: (.*)$/m.exec(text.slice(at))?.[1]?.trim().split(' ') ?? []);
}

/** The areas that a fork leaves out (MADV_DONTFORK): `dc` among the flags of /proc/PID/smaps. */
export function areasNotForked(pid: number): MapsLine[] {
  const found: MapsLine[] = [];
  let area: MapsLine | undefined;
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) [area] = parseMaps(line);
    else if (area && /^VmFlags:.* dc( |$)/.test(line)) found.push(area);
  }
  return found;
}

/** Whether the process holds a signalfd: its reads and waits then belong to the task that owns the signals. */
export function hasSignalfd(pid: number): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === 'anon_inode:[signalfd]';
    } catch {
      // Closed meanwhile.
      return false;
    }
  });
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The process is gone, or (EPERM) is not ours to look at.
    return undefined;
  }
}

/** A task's place in the kernel: `undefined` when it is gone. */
export type KernelPlace =
  | { asleep: false }
  | {
      asleep: true /** -1: blocked outside a system call, e.g. in a page fault */;
      nr: number;
      args: number[];
      sp: number;
      pc: number;
    };

/**
 * Where a task is, from /proc/TID/syscall, without stopping it. "running" there means: on a processor or
 * ready to be. Arguments above 2^53 lose low bits: they are compared with small numbers only.
 */
export function kernelPlace(pid: number, tid: number): KernelPlace | undefined {
  const text = readOrUndefined(`/proc/${pid}/task/${tid}/syscall`);
  if (text === undefined) return undefined;
  const fields = text.trim().split(' ');
  if (fields.length < 3) return { asleep: false };
  const values = fields.map(Number);
  if (values.some(Number.isNaN)) return { asleep: false };
  return {
    asleep: true,
    nr: values[0]!,
    args: values.slice(1, -2),
    sp: values.at(-2)!,
    pc: values.at(-1)!,
  };
}

/** Signal masks of a task as /proc/TID/status gives them; bit n-1 stands for signal n. */
export interface SignalMasks {
  pending: bigint;
  sharedPending: bigint;
  blocked: bigint;
  ignored: bigint;
  caught: bigint;
}

export function signalMasks(tid: number): SignalMasks | undefined {
  const text = readOrUndefined(`/proc/${tid}/status`);
  if (text === undefined) return undefined;
  const field = (name: string): bigint => {
    const at = text.indexOf(`\n${name}:\t`) + name.length + 3;
    return BigInt(`0x${text.slice(at, text.indexOf('\n', at))}`);
  };
  return {
    pending: field('SigPnd'),
    sharedPending: field('ShdPnd'),
    blocked: field('SigBlk'),
    ignored: field('SigIgn'),
    caught: field('SigCgt'),
  };
}

/** Users, groups and capabilities of a task as /proc/TID/status gives them: equal texts mean equal rights. */
export function credentials(tid: number): string | undefined {
  return readOrUndefined(`/proc/${tid}/status`)
    ?.split('\n')
    .filter((line) => /^(Uid|Gid|Groups|Cap...):/.test(line))
    .join('\n');
}

/** The seccomp mode of a task (linux/seccomp.h), and how many filters bind it; undefined when it is gone. */
export function secureComputing(tid: number | 'self'): { mode: number; filters: number } | undefined {
  const text = readOrUndefined(`/proc/${tid}/status`);
  if (text === undefined) return undefined;
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s*(\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  return { mode: field('Seccomp'), filters: field('Seccomp_filters') };
}

export const hasSignal = (mask: bigint, signal: number): boolean =>
  ((mask >> BigInt(signal - 1)) & 1n) === 1n;

/** Fields of /proc/PID/stat by their number in proc(5); the command name may contain spaces. */
export function statField(pid: number, field: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[field - 3]);
}

export const STAT_ARG_START = 48;

export const taskName = (pid: number, tid: number): string =>
  (readOrUndefined(`/proc/${pid}/task/${tid}/comm`) ?? '').trimEnd();

export const threadGroup = (tid: number): number => {
  const text = readOrUndefined(`/proc/${tid}/status`);
  return Number(/^Tgid:\s*(\d+)$/m.exec(text ?? '')?.[1] ?? 0);
};

/** The process that the kernel counts as the parent of a process, or of a thread's process; 0 when it is gone. */
export const parentOf = (tid: number): number =>
  Number(/^PPid:\s*(\d+)$/m.exec(readOrUndefined(`/proc/${tid}/status`) ?? '')?.[1] ?? 0);

export function executable(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined;
  }
}

export const commandLine = (pid: number): string =>
  (readOrUndefined(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ').trimEnd();

/** The task's id in its own pid namespace, which is what its own calls say. */
export function ownTid(tid: number): number {
  const ids = /^NSpid:\s*(.*)$/m.exec(readOrUndefined(`/proc/${tid}/status`) ?? '')?.[1];
  return Number(ids?.trim().split(/\s+/).at(-1) ?? tid);
}
