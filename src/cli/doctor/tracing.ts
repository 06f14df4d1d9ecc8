import { failure, ok, type Probe, warning } from './probe.js';
import { CAP_SYS_ADMIN, CAP_SYS_PTRACE, hasCapability, ownStatus, readSetting } from './proc-files.js';

/** Yama's `ptrace_scope` (Documentation/admin-guide/LSM/Yama.rst). */
export const ptraceScope: Probe = {
  name: 'ptrace',
  check: () => {
    const scope = readSetting('/proc/sys/kernel/yama/ptrace_scope');
    if (scope === undefined) return ok('not restricted (no Yama)');
    const found = `Yama scope ${scope}`;
    switch (scope) {
      case '0':
        return ok(found);
      case '1':
        return ok(`${found}: descendants only, which suffices`);
      case '2':
        if (hasCapability(CAP_SYS_PTRACE)) return ok(`${found}, and we have CAP_SYS_PTRACE`);
        return failure(found, 'Run as root, or set it to 1: sysctl kernel.yama.ptrace_scope=1.');
      default:
        return failure(
          found,
          'ptrace is off until the next boot: boot with sysctl kernel.yama.ptrace_scope=1.',
        );
    }
  },
};

export const seccompActions: Probe = {
  name: 'seccomp',
  check: () => {
    const actions = readSetting('/proc/sys/kernel/seccomp/actions_avail');
    if (actions === undefined) {
      return ownStatus('Seccomp') === undefined
        ? failure('no seccomp in this kernel', 'Use a kernel with CONFIG_SECCOMP_FILTER.')
        : warning(
            'available actions are unknown',
            'Atlas needs SECCOMP_RET_TRACE: Linux 4.14 or later tells.',
          );
    }
    const missing = ['trace', 'allow', 'errno'].filter((action) => !actions.split(' ').includes(action));
    if (missing.length === 0) return ok('filters with RET_TRACE');
    return failure(`no ${missing.join(', ')} in "${actions}"`, 'Use a kernel with CONFIG_SECCOMP_FILTER.');
  },
};

/** A filter that we did not install ourselves is a container's profile. It outlives us in what we start. */
export const containerProfile: Probe = {
  name: 'container-profile',
  check: () => {
    const mode = ownStatus('Seccomp') ?? '0';
    if (mode === '0') return ok('none');
    return warning(
      'a seccomp filter is in force already, as in a container',
      'If a program fails to start, allow ptrace: docker run --cap-add=SYS_PTRACE --security-opt seccomp=unconfined.',
    );
  },
};

/** seccomp(2): a filter needs CAP_SYS_ADMIN or no_new_privs, and the latter disarms set-user-ID files. */
export const newPrivileges: Probe = {
  name: 'set-user-id',
  check: () => {
    if (hasCapability(CAP_SYS_ADMIN) && ownStatus('NoNewPrivs') !== '1')
      return ok('programs may gain privileges');
    return warning(
      'without CAP_SYS_ADMIN a filter needs no_new_privs',
      'Set-user-ID programs (sudo, ping) gain no privileges under Atlas; as root they do.',
    );
  },
};
