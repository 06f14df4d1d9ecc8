/**
 * The C library's entry points that Atlas calls, bound once. Everything that traces must run on the one OS
 * thread that seized the tracee (ptrace(2), "Attaching and detaching"), so only synchronous calls are bound.
 */
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');

/** The C library's `errno` of the calling OS thread, valid right after a call that failed. */
export const errno = (): number => koffi.errno();

export const c = {
  ptraceNumber: libc.func('ptrace', 'long', ['long', 'int', 'int64_t', 'int64_t']),
  ptraceBuffer: libc.func('ptrace', 'long', ['long', 'int', 'int64_t', 'void *']),
  wait4: libc.func('wait4', 'int', ['int', 'void *', 'int', 'void *']),
  pread: libc.func('pread64', 'int64_t', ['int', 'void *', 'size_t', 'int64_t']),
  pwrite: libc.func('pwrite64', 'int64_t', ['int', 'void *', 'size_t', 'int64_t']),
  lseek: libc.func('lseek64', 'int64_t', ['int', 'int64_t', 'int']),
  ftruncate: libc.func('ftruncate64', 'int', ['int', 'int64_t']),
  fallocate: libc.func('fallocate64', 'int', ['int', 'int', 'int64_t', 'int64_t']),
  copyFileRange: libc.func('copy_file_range', 'int64_t', [
    'int',
    'void *',
    'int',
    'void *',
    'size_t',
    'uint',
  ]),
  memfdCreate: libc.func('memfd_create', 'int', ['str', 'uint']),
  kill: libc.func('kill', 'int', ['int', 'int']),
  syscall3: libc.func('syscall', 'long', ['long', 'int64_t', 'int64_t', 'int64_t']),
  socket: libc.func('socket', 'int', ['int', 'int', 'int']),
  bind: libc.func('bind', 'int', ['int', 'void *', 'uint']),
  listen: libc.func('listen', 'int', ['int', 'int']),
  connect: libc.func('connect', 'int', ['int', 'void *', 'uint']),
  getsockopt: libc.func('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *']),
  flock: libc.func('flock', 'int', ['int', 'int']),
  prlimit: libc.func('prlimit64', 'int', ['int', 'int', 'void *', 'void *']),
  posixSpawn: libc.func('posix_spawn', 'int', ['void *', 'str', 'void *', 'void *', 'void *', 'void *']),
  spawnAttrInit: libc.func('posix_spawnattr_init', 'int', ['void *']),
  spawnAttrSetFlags: libc.func('posix_spawnattr_setflags', 'int', ['void *', 'short']),
  spawnAttrSetSigmask: libc.func('posix_spawnattr_setsigmask', 'int', ['void *', 'void *']),
  spawnAttrSetSigdefault: libc.func('posix_spawnattr_setsigdefault', 'int', ['void *', 'void *']),
  spawnActionsInit: libc.func('posix_spawn_file_actions_init', 'int', ['void *']),
  spawnActionsDup2: libc.func('posix_spawn_file_actions_adddup2', 'int', ['void *', 'int', 'int']),
};

/** The address at which the C library sees `buffer`; valid as long as the buffer is referenced. */
export const addressOf = (buffer: NodeJS.ArrayBufferView): bigint => koffi.address(buffer);

/** pipe2(2) with O_CLOEXEC: [read end, write end]. */
export function pipe(): [number, number] {
  const O_CLOEXEC = 0o2000000;
  const ends = new Int32Array(2);
  if (libc.func('pipe2', 'int', ['void *', 'int'])(ends, O_CLOEXEC) !== 0)
    throw new Error(`pipe2: errno ${errno()}`);
  return [ends[0]!, ends[1]!];
}
