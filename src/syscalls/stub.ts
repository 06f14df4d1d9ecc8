import type { Kernel } from '../process/kernel.js';
import type { Thread } from '../process/model.js';
import type { Task } from '../process/task.js';
export function stubStopped(_kernel: Kernel, _task: Task, _thread: Thread | undefined): void {}
