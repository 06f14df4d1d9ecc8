import os from 'node:os';
import { failure, ok, type Probe, warning } from './probe.js';

const TESTED = [5, 10] as const;

/** Until 4.8 the seccomp stop came after the system-call stop, and a tracer could not change the call there. */
const NEEDED = [4, 8] as const;

function isOlder(release: string, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  return ownMajor < major || (ownMajor === major && ownMinor < minor);
}

export const kernelVersion: Probe = {
  name: 'kernel',
  check: () => {
    if (os.type() !== 'Linux') return failure(os.type(), 'Atlas is made of Linux system calls: use Linux.');
    const release = os.release();
    if (isOlder(release, NEEDED)) {
      return failure(
        `Linux ${release}`,
        `Use Linux ${NEEDED.join('.')} or later: older ones order ptrace stops otherwise.`,
      );
    }
    if (isOlder(release, TESTED)) {
      return warning(`Linux ${release}`, `Atlas is not tested on kernels before ${TESTED.join('.')}.`);
    }
    return ok(`Linux ${release}`);
  },
};

export const architecture: Probe = {
  name: 'architecture',
  check: () =>
    process.arch === 'x64'
      ? ok('x86-64')
      : failure(
          process.arch,
          'Atlas emits x86-64 machine code: use an x86-64 machine, and a Node.js for it.',
        ),
};
