/** Programs that want to be tracers: Linux allows one tracer for a task (ptrace(2)), and that is Atlas. */
import { taskName } from '../linux/proc.js';
import type { Kernel } from '../process/kernel.js';
import type { Thread } from '../process/model.js';
import type { Registers } from '../x64/registers.js';

const PTRACE_TRACEME = 0;
const PTRACE_ATTACH = 16;
const PTRACE_SEIZE = 0x4206;

/** The call fails by itself, with EPERM. Once for each process it is told why. */
export function noteTracing(kernel: Kernel, thread: Thread, regs: Registers): void {
  const { process } = thread;
  const request = regs.get('rdi');
  const attaches = request === PTRACE_ATTACH || request === PTRACE_SEIZE;
  const target = attaches ? regs.int('rsi') : undefined;
  // What runs outside of Atlas can be traced.
  const refused = target === undefined ? request === PTRACE_TRACEME : kernel.tasks.has(target);
  if (!refused || process.toldOfTracing) return;
  process.toldOfTracing = true;
  kernel.emit('tracing-refused', { pid: process.pid, command: taskName(process.pid, thread.tid), target });
}
