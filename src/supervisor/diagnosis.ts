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
    'held by a fork': space.hold !== undefined,
    [`being changed by ${space.changeLock.holder}`]: space.changeLock.held,
    [`memory locked by ${space.lock.holder}`]: space.lock.held,
    [`generations locked by ${space.generationLock.holder}`]: space.generationLock.held,
  };
  return [
    `process ${process.pid}, generations ${[...space.generations.keys()].join(' ')}: ${list(states)}`,
    ...[...process.threads.values()].map(describeThread),
  ];
}

function describeThread(thread: Thread): string {
  const { home, stub } = thread;
  const states = {
    'stopped by job control': thread.held,
    'in vfork': thread.vforkChild !== undefined,
    [`${thread.requests.length} requests`]: thread.requests.length > 0,
    [`${thread.stashedSignals.length} signals kept`]: thread.stashedSignals.length > 0,
  };
  const where = stub
    ? `home ${describeTask(home)}; stub ${describeTask(stub)}`
    : `home ${describeTask(home)}`;
  const { tid, generation, place, turn } = thread;
  return `  thread ${tid} in generation ${generation.id}, at ${place.at}, ${turn}: ${where}; ${list(states)}`;
}

const list = (states: Record<string, boolean>): string =>
  Object.keys(states)
    .filter((name) => states[name])
    .join(', ') || 'nothing special';
