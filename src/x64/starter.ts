/**
 * `bin/atlas`, the command: a tiny executable that writes down what it was started with, and becomes Node.js. As it starts,
 * Node.js unblocks signals, resets ignored ones, raises the limit of open files, opens descriptors of its own and marks
 * all as close-on-exec; afterwards nothing tells what the caller had left to its program (cli/run/caller.ts reads it).
 */
import { SYS } from '../linux/syscall-numbers.js';
import { Assembler } from './assembler.js';
import { CODE_START, MEMORY_START, staticExecutable } from './executable.js';

/**
 * The record, in a memfd of that name that is left open:
 *
 *     0 pid   8 blocked signals   16 ignored signals   24 struct rlimit of open files   40 bit per open descriptor
 */
export const RECORD = {
  name: 'atlas-caller',
  blocked: 8,
  ignored: 16,
  openFiles: 24,
  descriptors: 40,
} as const;
/** Descriptors that it knows of. */
export const RECORDED_DESCRIPTORS = 1024;
export const RECORD_BYTES = RECORD.descriptors + RECORDED_DESCRIPTORS / 8;

const ACTION = MEMORY_START + 0x800;
const SCRIPT = MEMORY_START + 0x1000;
const LONGEST_PATH = 4096;
const MEMORY = 0x1000 + LONGEST_PATH + 8;
const SIG_BLOCK = 0;
const SIG_IGN = 1;
const SIGNALS = 64;
const SIGSET_BYTES = 8;
const RLIMIT_NOFILE = 7;
const F_GETFD = 1;
const STDERR = 2;
const NOT_FOUND = 127;
/** Below the executable's own name comes the script's: `atlas` becomes `atlas.js`. */
const DOT_JS = 0x00_73_6a_2e;

const FAILURE = 'atlas: /usr/bin/env cannot be executed\n';

const text = (value: string): number[] => [...new TextEncoder().encode(`${value}\0`)];

export function assembleStarter(): Uint8Array {
  const a = new Assembler(CODE_START);
  // The kernel's block: argc, argv[0], argv[1], …, NULL, envp[0], … (System V ABI, figure 3.9). r12 = envp
  a.load('r12', 'rsp', 0).add('r12', 'r12').add('r12', 'r12').add('r12', 'r12').add('r12', 'rsp');
  a.arithmetic('add', 'r12', 16);
  record(a);
  become(a);
  a.label('own path').emit(...text('/proc/self/exe'));
  a.label('record name').emit(...text(RECORD.name));
  a.label('env').emit(...text('/usr/bin/env'));
  a.label('node').emit(...text('node'));
  a.label('message').emit(...text(FAILURE));
  return staticExecutable(a.finish(), MEMORY);
}

/** Executes the script of the same name with Node.js, arguments and environment as they are. */
function become(a: Assembler): void {
  a.label('become').loadAddress('rdi', 'own path').moveImmediate('rsi', SCRIPT);
  a.moveImmediate('rdx', LONGEST_PATH).moveImmediate('rax', SYS.readlink).syscall();
  a.arithmetic('cmp', 'rax', 0).jumpIf('s', 'fail');
  a.moveImmediate('rcx', SCRIPT).add('rcx', 'rax').emit(0xc7, 0x01).word32(DOT_JS); // mov dword [rcx], ".js"
  // env, node and the script take the places of argc and argv[0], and the one below; argv[1] follows as it is.
  a.loadAddress('rdi', 'env').store('rsp', -8, 'rdi').loadAddress('rax', 'node').store('rsp', 0, 'rax');
  a.moveImmediate('rax', SCRIPT).store('rsp', 8, 'rax');
  a.move('rsi', 'rsp').arithmetic('add', 'rsi', -8).move('rdx', 'r12');
  a.moveImmediate('rax', SYS.execve).syscall();
  a.label('fail').moveImmediate('rdi', STDERR).loadAddress('rsi', 'message');
  a.moveImmediate('rdx', FAILURE.length).moveImmediate('rax', SYS.write).syscall();
  a.moveImmediate('rdi', NOT_FOUND).moveImmediate('rax', SYS.exit_group).syscall();
}

/** Where the record cannot be made, Atlas does without. */
function record(a: Assembler): void {
  a.moveImmediate('rax', SYS.getpid).syscall().storeTo(MEMORY_START, 'rax');
  a.moveImmediate('rdi', SIG_BLOCK).moveImmediate('rsi', 0).moveImmediate('r10', SIGSET_BYTES);
  a.moveImmediate('rdx', MEMORY_START + RECORD.blocked)
    .moveImmediate('rax', SYS.rt_sigprocmask)
    .syscall();

  a.moveImmediate('rbx', SIGNALS).moveImmediate('rbp', 0);
  a.label('signal').move('rdi', 'rbx').moveImmediate('rsi', 0).moveImmediate('rdx', ACTION);
  a.moveImmediate('r10', SIGSET_BYTES).moveImmediate('rax', SYS.rt_sigaction).syscall();
  a.add('rbp', 'rbp').loadFrom('rcx', ACTION).arithmetic('cmp', 'rcx', SIG_IGN).jumpIf('ne', 'not ignored');
  a.arithmetic('or', 'rbp', 1);
  a.label('not ignored').arithmetic('add', 'rbx', -1).arithmetic('cmp', 'rbx', 0).jumpIf('ne', 'signal');
  a.storeTo(MEMORY_START + RECORD.ignored, 'rbp');

  a.moveImmediate('rdi', RLIMIT_NOFILE).moveImmediate('rsi', MEMORY_START + RECORD.openFiles);
  a.moveImmediate('rax', SYS.getrlimit).syscall();

  a.moveImmediate('rbx', 0);
  a.label('descriptor').move('rdi', 'rbx').moveImmediate('rsi', F_GETFD);
  a.moveImmediate('rax', SYS.fcntl).syscall().arithmetic('cmp', 'rax', 0).jumpIf('s', 'closed');
  // bts [address], rbx: sets the bit with that number, however far behind the address it is
  a.emit(0x48, 0x0f, 0xab, 0x1c, 0x25).word32(MEMORY_START + RECORD.descriptors);
  a.label('closed').arithmetic('add', 'rbx', 1);
  a.arithmetic('cmp', 'rbx', RECORDED_DESCRIPTORS).jumpIf('ne', 'descriptor');

  a.loadAddress('rdi', 'record name')
    .moveImmediate('rsi', 0)
    .moveImmediate('rax', SYS.memfd_create)
    .syscall();
  a.arithmetic('cmp', 'rax', 0).jumpIf('s', 'become');
  a.move('rdi', 'rax').moveImmediate('rsi', MEMORY_START).moveImmediate('rdx', RECORD_BYTES);
  a.moveImmediate('rax', SYS.write).syscall();
}
