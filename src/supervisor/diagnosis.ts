/** The state of the tracing loop in words: who waits for what. */
import { describeStatus } from '../linux/wait.js';
import type { Kernel } from '../process/kernel.js';
import type { Process, Thread } from '../process/model.js';
import type { Waitable } from '../process/steps.js';
import { Task } from '../process/task.js';

export function diagnose(kernel: Kernel): string[] {
  return [
    ...[...kernel.scheduler.programs].map(
      ({ name, waitsFor }) => `${name} waits for ${describeWait(waitsFor)}`,
    ),
    ...[...kernel.processes.values()].flatMap(describeProcess),
    ...[...kernel.tasks.values()]
      .filter((task) => !task.thread)
      .map((task) => `${task.role} ${describeTask(task)}`),
  ];
}

function describeWait(waitable: Waitable | undefined): string {
  if (waitable instanceof Task) return `the next stop of ${waitable.tid}`;
  return waitable === undefined ? 'nothing' : 'a condition, a lock or its turn';
}

const describeTask = (task: Task): string =>
  `${task.tid}: ${task.gone ? 'gone' : task.stopped ? 'stopped' : 'running'}, last ${describeStatus(task.status)}`;

function describeProcess(process: Process): string[] {
  const { space } = process;
  const states = {
    'held by a fork': process.hold !== undefined,
    'in a rollout': process.patching,
    'memory locked': space.lock.held,
    'generations locked': space.generationLock.held,
  };
  return [
    `process ${process.pid}, generations ${[...space.generations.keys()].join(' ')}: ${list(states)}`,
    ...[...process.threads.values()].map(describeThread),
  ];
}

function describeThread(thread: Thread): string {
  const { home, stub } = thread;
  const states = {
    busy: thread.busy,
    'at the lock': thread.atLock,
    'in a home call': thread.inHomeCall,
    'caught asleep': thread.caughtAt !== undefined,
    'stopped by job control': thread.held,
    [`${thread.requests.length} requests`]: thread.requests.length > 0,
    [`${thread.stashedSignals.length} signals kept`]: thread.stashedSignals.length > 0,
  };
  const where = stub
    ? `home ${describeTask(home)}; stub ${describeTask(stub)}`
    : `home ${describeTask(home)}`;
  return `  thread ${thread.tid} in generation ${thread.generation.id}: ${where}; ${list(states)}`;
}

const list = (states: Record<string, boolean>): string =>
  Object.keys(states)
    .filter((name) => states[name])
    .join(', ') || 'nothing special';
