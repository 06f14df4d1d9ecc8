import { createRequire } from 'node:module';
import fs from 'node:fs';
import { failure, type Finding, ok, type Probe, warning } from './probe.js';
import { readSetting } from './proc-files.js';

interface Koffi {
  load(library: string): { func(declaration: string): (...args: unknown[]) => number };
  errno(): number;
}

/**
 * Not a static import: where the native module does not load, the doctor is who has to say so.
 * @throws what loading it threw
 */
const koffi = (): Koffi => createRequire(import.meta.url)('koffi') as Koffi;

export const foreignFunctions: Probe = {
  name: 'koffi',
  check: () => {
    try {
      const getpid = koffi().load('libc.so.6').func('int getpid()');
      if (getpid() === process.pid) return ok('calls the C library');
      return failure('the C library answers wrongly', 'Install the dependencies again: npm ci.');
    } catch (error) {
      const [line] = (error as Error).message.split('\n');
      return failure(
        line!,
        'Install the dependencies again with npm ci; the C library must be glibc (not musl), as libc.so.6.',
      );
    }
  },
};

/** Flags of memfd_create(2), linux/memfd.h. */
const MFD_CLOEXEC = 0x1;
const MFD_EXEC = 0x10;
const EINVAL = 22;

/** The launcher is executed from a memfd, and the program's memory lives in one. */
export const memoryFiles: Probe = {
  name: 'memfd',
  check: () => {
    let fd: number;
    let exec = true;
    try {
      const { load, errno } = koffi();
      const create = load('libc.so.6').func('int memfd_create(const char *name, unsigned int flags)');
      fd = create('atlas-doctor', MFD_CLOEXEC | MFD_EXEC);
      // Before Linux 6.3 the flag is unknown, and every memfd is executable.
      if (fd < 0 && errno() === EINVAL) {
        exec = false;
        fd = create('atlas-doctor', MFD_CLOEXEC);
      }
      if (fd < 0) return refusedMemoryFile(errno());
    } catch {
      return failure('cannot be tried', 'See koffi.');
    }
    try {
      fs.ftruncateSync(fd, 2 ** 46);
      return ok(`executable and sparse${exec ? '' : ' (without MFD_EXEC)'}`);
    } catch (error) {
      return failure(
        `a sparse file of 64 TiB: ${(error as Error).message}`,
        'Raise the limit of the file size: ulimit -f unlimited.',
      );
    } finally {
      fs.closeSync(fd);
    }
  },
};

function refusedMemoryFile(errno: number): Finding {
  const setting = readSetting('/proc/sys/vm/memfd_noexec');
  if (setting === '2')
    return failure('vm.memfd_noexec is 2', 'Allow executable memfds: sysctl vm.memfd_noexec=1.');
  return failure(`memfd_create: errno ${errno}`, 'Allow memfd_create in the container profile.');
}

/** proc_sys_vm(5), `overcommit_memory`. */
export const overcommit: Probe = {
  name: 'overcommit',
  check: () => {
    const mode = readSetting('/proc/sys/vm/overcommit_memory') ?? '0';
    if (mode !== '2') return ok(`mode ${mode}`);
    return warning(
      'mode 2, strict accounting',
      'Programs that reserve much address space fail, and shortage arrives as SIGBUS: sysctl vm.overcommit_memory=0.',
    );
  },
};

const DEFAULT_MAP_COUNT = 65_530;

export const mapCount: Probe = {
  name: 'max-map-count',
  check: () => {
    const count = Number(readSetting('/proc/sys/vm/max_map_count') ?? DEFAULT_MAP_COUNT);
    if (count >= DEFAULT_MAP_COUNT) return ok(`${count} areas per process`);
    return warning(
      `${count} areas per process`,
      `Programs with many mappings may fail: sysctl vm.max_map_count=${DEFAULT_MAP_COUNT}.`,
    );
  },
};
