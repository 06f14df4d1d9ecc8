/**
 * posix_spawn(3) of an ELF image that we hold in memory. The child is not a libuv child: libuv would reap
 * the stops of a tracee of its own.
 */
import { closeSync, writeSync } from 'node:fs';
import { addressOf, c, errno } from './ffi.js';
import { SIGPIPE, SIGXFSZ } from './signals.js';

const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const MFD_CLOEXEC = 1;
/** linux/memfd.h, since 6.3; EINVAL before. */
export const MFD_EXEC = 0x10;
/** More than sizeof(posix_spawnattr_t) and sizeof(posix_spawn_file_actions_t) of any C library. */
const OPAQUE_BYTES = 1024;
const SIGSET_BYTES = 128;

/** A memfd with the given content, or the errno negated. */
function memfd(content: Uint8Array): { fd: number; flags: number } {
  let flags = MFD_CLOEXEC | MFD_EXEC;
  let fd = c.memfdCreate('atlas-launcher', flags) as number;
  if (fd < 0) {
    flags = MFD_CLOEXEC;
    fd = c.memfdCreate('atlas-launcher', flags) as number;
  }
  if (fd < 0) throw new Error(`memfd_create: errno ${errno()}`);
  writeSync(fd, content);
  return { fd, flags: flags & MFD_EXEC };
}

export interface Spawned {
  pid: number;
  /** MFD_EXEC when the kernel knows it. */
  memfdFlags: number;
}

/**
 * @param descriptors pairs of our descriptor and the child's
 * @param name argv[0] of the child
 */
export function spawnImage(
  image: Uint8Array,
  name: string,
  descriptors: readonly (readonly [number, number])[],
): Spawned {
  const { fd, flags } = memfd(image);
  try {
    const attributes = new Uint8Array(OPAQUE_BYTES);
    const actions = new Uint8Array(OPAQUE_BYTES);
    c.spawnAttrInit(attributes);
    c.spawnActionsInit(actions);
    c.spawnAttrSetFlags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    c.spawnAttrSetSigmask(attributes, new Uint8Array(SIGSET_BYTES));
    // Node ignores these two, and an ignored signal stays ignored through exec.
    const defaults = new Uint32Array(SIGSET_BYTES / 4);
    // And glibc itself leaves its two internal signals, 32 and 33, ignored in the child (spawni.c).
    defaults[0] = (1 << (SIGPIPE - 1)) | (1 << (SIGXFSZ - 1)) | (1 << 31);
    defaults[1] = 1;
    c.spawnAttrSetSigdefault(attributes, defaults);
    for (const [ours, theirs] of descriptors) c.spawnActionsDup2(actions, ours, theirs);
    const argument = new TextEncoder().encode(`${name}\0`);
    const argv = new BigUint64Array([addressOf(argument), 0n]);
    const pid = new Int32Array(1);
    const error = c.posixSpawn(
      pid,
      `/proc/self/fd/${fd}`,
      actions,
      attributes,
      argv,
      new BigUint64Array(1),
    ) as number;
    if (error !== 0) throw new Error(`posix_spawn of the launcher: errno ${error}`);
    return { pid: pid[0]!, memfdFlags: flags };
  } finally {
    closeSync(fd);
  }
}
