/**
 * Starting the command: the launcher is seized, installs the filter that every descendant inherits, and
 * executes the command.
 */
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import * as ptrace from '../linux/ptrace.js';
import { AtlasError } from '../errors/atlas-error.js';
import { EACCES, ENOENT, ENOEXEC, isError } from '../linux/errno.js';
import { ProcessMemory } from '../linux/memory.js';
import { hasSignal } from '../linux/proc.js';
import { spawnImage } from '../linux/spawn.js';
import { SYS } from '../linux/syscall-numbers.js';
import { PTRACE_EVENT_EXEC, PTRACE_EVENT_STOP, stopEvent } from '../linux/wait.js';
import { ARGUMENTS } from '../x64/registers.js';
import { assembleLauncher, type Launcher } from '../x64/launcher.js';
import type { Kernel } from './kernel.js';
import { rawCall } from './raw-call.js';
import type { Steps } from './steps.js';
import type { Task } from './task.js';

const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_SET_MODE_FILTER = 1;
const CAP_SYS_ADMIN = 21;
const SIG_IGN = 1n;
const SIGNALS = 64;
const SCRATCH = 8 << 20;
/** Node marks its own as close-on-exec; a dup2 onto itself makes them inheritable (posix_spawn(3)). */
const STANDARD_STREAMS = [[0, 0], [1, 1], [2, 2]] as const; // biome-ignore format: one row

export interface Command {
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  filter: Uint8Array;
  /** Standard streams that it finds closed. */
  closed: readonly number[];
  /** What it finds blocked and ignored; bit n-1 stands for signal n. */
  blockedSignals: bigint;
  ignoredSignals: bigint;
}

/** The file that execvp(3) would execute. */
export function findExecutable(name: string, path: string | undefined): string {
  const candidates = name.includes('/')
    ? [name]
    : (path ?? '/usr/local/bin:/usr/bin:/bin').split(':').map((dir) => `${dir || '.'}/${name}`);
  let denied = false;
  for (const candidate of candidates) {
    if (!existsSync(candidate) || (!name.includes('/') && statSync(candidate).isDirectory())) continue;
    try {
      accessSync(candidate, constants.X_OK);
      if (!statSync(candidate).isDirectory()) return candidate;
    } catch {
      // Not executable for us: another directory of the path may have one that is.
    }
    denied = true;
  }
  throw commandError(name, denied ? EACCES : ENOENT);
}

/** Failures that `atlas run` reports as a shell does: 127 not found, 126 not executable. */
export class CommandError extends AtlasError {
  constructor(
    readonly exitCode: 126 | 127,
    message: string,
    advice: string,
  ) {
    super('bad-input', message, advice);
  }

  override toJSON(): { kind: AtlasError['kind']; message: string; advice: string; exitCode: number } {
    return { ...super.toJSON(), exitCode: this.exitCode };
  }
}

function commandError(name: string, errno: number): CommandError {
  if (errno === ENOENT)
    return new CommandError(127, `${name}: command not found`, 'Check its spelling and PATH.');
  if (errno === EACCES) return new CommandError(126, `${name}: not executable`, 'Check its permissions.');
  return new CommandError(126, `${name}: cannot be executed (errno ${errno})`, 'Is it an x86-64 program?');
}

const hasCapability = (pid: number, capability: number): boolean => {
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return ((BigInt(`0x${match?.[1] ?? '0'}`) >> BigInt(capability)) & 1n) === 1n;
};

/** @returns the root task, at its exec stop */
export function* launch(kernel: Kernel, command: Command): Steps<Task> {
  const file = findExecutable(command.argv[0]!, command.env.PATH);
  const launcher = assembleLauncher('sleeper', SCRATCH);
  const { pid, memfdFlags } = spawnImage(launcher.image, command.argv[0]!, STANDARD_STREAMS);
  kernel.memfdFlags = memfdFlags;
  const task = kernel.task(pid);
  task.role = 'launcher';
  ptrace.seize(pid);
  task.interrupt();
  for (;;) {
    yield* task.nextStop();
    if (stopEvent(task.status) === PTRACE_EVENT_STOP) break;
    // posix_spawn may return before the child's own execve is over: its exec event comes first then.
    task.resumeToInterrupt();
  }
  const { regs } = task;
  regs.assign(task.fetch());

  if (!hasCapability(pid, CAP_SYS_ADMIN))
    yield* rawCall(task, launcher.syscall, SYS.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  using memory = new ProcessMemory(pid);
  yield* installFilter(task, launcher, memory, command.filter);
  for (const stream of command.closed) yield* rawCall(task, launcher.syscall, SYS.close, stream);
  yield* ignoreSignals(task, launcher, memory, command.ignoredSignals);
  const error = yield* execute(task, launcher, memory, [file, ...command.argv], command.env);
  if (error === -ENOEXEC) {
    // As execvp(3): a script without an interpreter line belongs to the shell.
    const again = yield* execute(
      task,
      launcher,
      memory,
      ['/bin/sh', '/bin/sh', file, ...command.argv.slice(1)],
      command.env,
    );
    if (again !== 0) throw commandError(command.argv[0]!, -again);
  } else if (error !== 0) throw commandError(command.argv[0]!, -error);
  ptrace.setSigmask(task.tid, new Uint8Array(new BigUint64Array([command.blockedSignals]).buffer));
  return task;
}

/** Ignored signals stay ignored through exec (signal(7), "Signal dispositions"). */
function* ignoreSignals(task: Task, launcher: Launcher, memory: ProcessMemory, mask: bigint): Steps<void> {
  // struct kernel_sigaction { handler, flags, restorer, mask }
  memory.write(launcher.scratch, new Uint8Array(new BigUint64Array([SIG_IGN, 0n, 0n, 0n]).buffer));
  for (let signal = 1; signal <= SIGNALS; signal++) {
    if (!hasSignal(mask, signal)) continue;
    yield* rawCall(task, launcher.syscall, SYS.rt_sigaction, signal, launcher.scratch, 0, ptrace.SIGSET_SIZE);
  }
}

function* installFilter(
  task: Task,
  launcher: Launcher,
  memory: ProcessMemory,
  filter: Uint8Array,
): Steps<void> {
  // struct sock_fprog { unsigned short len; struct sock_filter *filter; }
  const program = new BigUint64Array([BigInt(filter.length / 8), BigInt(launcher.scratch + 16)]);
  memory.write(launcher.scratch, new Uint8Array(program.buffer));
  memory.write(launcher.scratch + 16, filter);
  const result = yield* rawCall(
    task,
    launcher.syscall,
    SYS.seccomp,
    SECCOMP_SET_MODE_FILTER,
    0,
    launcher.scratch,
  );
  if (isError(result)) {
    throw new AtlasError('unsupported-machine', `seccomp filter: errno ${-result}`, 'See `atlas doctor`.');
  }
}

/** @param words the file, then argv; @returns 0 at the exec stop, or the error */
function* execute(
  task: Task,
  launcher: Launcher,
  memory: ProcessMemory,
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Steps<number> {
  const encoder = new TextEncoder();
  let at = launcher.scratch;
  const place = (bytes: Uint8Array): number => {
    if (at + bytes.length > launcher.scratch + launcher.scratchSize || !memory.write(at, bytes)) {
      throw new AtlasError('bad-usage', 'The command line and environment are too long.', 'Shorten them.');
    }
    const placed = at;
    at += Math.ceil(bytes.length / 8) * 8;
    return placed;
  };
  const pointers = (strings: readonly string[]): number => {
    const addresses = strings.map((text) => BigInt(place(encoder.encode(`${text}\0`))));
    return place(new Uint8Array(new BigUint64Array([...addresses, 0n]).buffer));
  };
  const path = place(encoder.encode(`${words[0]!}\0`));
  const argv = pointers(words.slice(1));
  const envp = pointers(Object.entries(env).map(([name, value]) => `${name}=${value}`));
  const regs = task.fetch();
  regs.set('rip', launcher.syscall);
  regs.set('rax', SYS.execve);
  regs.set('orig_rax', -1);
  for (const [index, value] of [path, argv, envp].entries()) regs.set(ARGUMENTS[index]!, value);
  task.commit();
  let stops = 0;
  for (;;) {
    task.resumeToSyscall();
    yield* task.nextStop();
    if (stopEvent(task.status) === PTRACE_EVENT_EXEC) return 0;
    if (stopEvent(task.status) === 0 && ++stops === 2) return task.fetch().signed('rax');
  }
}
