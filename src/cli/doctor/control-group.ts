import { ok, type Probe, warning } from './probe.js';
import { readSetting } from './proc-files.js';

/** What the supervisor itself needs: a Node.js process with two threads. */
const SUPERVISOR_BYTES = 256 * 1024 * 1024;

/** A stub task for each thread, in each generation beside the base. */
const FEW_TASKS = 512;

/**
 * The smallest limit in force, of our control group and those above it (cgroups(7)): `v2` is the file in the
 * unified hierarchy, `v1` that in the hierarchy of `controller`.
 */
function smallestLimit(controller: string, v1: string, v2: string): number {
  let smallest = Number.POSITIVE_INFINITY;
  for (const line of (readSetting('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined || (controllers !== '' && !controllers!.split(',').includes(controller))) continue;
    const [root, file] = controllers === '' ? ['/sys/fs/cgroup', v2] : [`/sys/fs/cgroup/${controller}`, v1];
    const parts = path.split('/').filter((part) => part !== '');
    for (let depth = parts.length; depth >= 0; depth--) {
      const limit = Number(readSetting([root, ...parts.slice(0, depth), file].join('/')));
      if (limit > 0 && limit < smallest) smallest = limit;
    }
  }
  return smallest;
}

export const memoryLimit: Probe = {
  name: 'memory-limit',
  check: () => {
    const bytes = smallestLimit('memory', 'memory.limit_in_bytes', 'memory.max');
    // Version 1 has no word for "none": it gives the largest number of pages.
    if (bytes >= 2 ** 60) return ok('none');
    const found = `${Math.round(bytes / 2 ** 20)} MiB for the control group`;
    if (bytes >= SUPERVISOR_BYTES) return ok(found);
    return warning(
      found,
      `The supervisor itself needs about ${SUPERVISOR_BYTES / 2 ** 20} MiB: raise the limit.`,
    );
  },
};

export const taskLimit: Probe = {
  name: 'task-limit',
  check: () => {
    const tasks = smallestLimit('pids', 'pids.max', 'pids.max');
    if (tasks === Number.POSITIVE_INFINITY) return ok('none');
    const found = `${tasks} tasks for the control group`;
    if (tasks >= FEW_TASKS) return ok(found);
    return warning(
      found,
      'Every thread counts once more while it lives in a further generation: raise the limit.',
    );
  },
};
