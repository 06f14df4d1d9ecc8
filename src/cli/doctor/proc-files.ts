import fs from 'node:fs';

/** The text of a file of /proc or /sys without its final newline; `undefined` when this kernel has none. */
export function readSetting(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8').trimEnd();
  } catch {
    return undefined;
  }
}

/** A line of /proc/self/status, such as `Seccomp` or `CapEff`. */
export function ownStatus(field: string): string | undefined {
  const status = readSetting('/proc/self/status') ?? '';
  return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(status)?.[1];
}

/** linux/capability.h */
export const CAP_SYS_PTRACE = 19;
export const CAP_SYS_ADMIN = 21;

export function hasCapability(capability: number): boolean {
  return ((BigInt(`0x${ownStatus('CapEff') ?? '0'}`) >> BigInt(capability)) & 1n) === 1n;
}
