/**
 * The tracing thread: an OS thread of its own, because ptrace belongs to the thread that attached. It waits
 * in wait4 and nowhere else; the control side rings a traced doorbell process to be heard.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { AtlasError } from '../errors/atlas-error.js';
import * as ptrace from '../linux/ptrace.js';
import { c } from '../linux/ffi.js';
import { getLimit } from '../linux/rlimit.js';
import { spawnImage } from '../linux/spawn.js';
import { SYS } from '../linux/syscall-numbers.js';
import { Reaper } from '../linux/wait.js';
import { convertImage } from '../process/convert.js';
import { Kernel } from '../process/kernel.js';
import { launch } from '../process/launch.js';
import { addProcess } from '../process/lifecycle.js';
import type { Space } from '../process/model.js';
import type { Steps } from '../process/steps.js';
import { letGo } from '../process/turns.js';
import { baseFilter, stubFilter } from '../syscalls/filter.js';
import { GATE_FREE_END, GATE_START, MARKER } from '../x64/gate.js';
import { assembleLauncher, DOORBELL_FD } from '../x64/launcher.js';
import { Commands } from './commands.js';
import { Dispatcher } from './dispatch.js';
import type { LaunchOptions } from './protocol.js';
import type { FromTracer, ToTracer } from './messages.js';

export interface WorkerInput {
  options: LaunchOptions;
  /** The read end of the doorbell's pipe. */
  doorbell: number;
  port: MessagePort;
}

const { options, doorbell, port } = workerData as WorkerInput;
const started = performance.now();
const send = (message: FromTracer): void => port.postMessage(message);

/** Milliseconds. */
const LONGEST_RUN = 0.1;

class Tracer {
  readonly kernel: Kernel;
  readonly reaper = new Reaper();
  readonly dispatcher: Dispatcher;
  readonly commands: Commands;
  #doorbellPid = 0;
  readonly #timers = new Map<number, () => void>();
  #nextTimer = 1;

  constructor() {
    const storeFd = storeDescriptor();
    this.kernel = new Kernel(
      storeFd,
      (event, fields) =>
        send({ type: 'event', event: { at: performance.now() - started, event, ...fields } }),
      (milliseconds, ring) => {
        const id = this.#nextTimer++;
        this.#timers.set(id, ring);
        send({ type: 'set-timer', id, milliseconds });
      },
      (where, error) => this.#defect(where, error),
    );
    const filterOptions = { gateStart: GATE_START, gateEnd: GATE_FREE_END, marker: MARKER, storeFd };
    // Assembled here, because it takes longer than all the rest of making a generation.
    const stubFilters = {
      plain: stubFilter(filterOptions),
      signalfd: stubFilter({ ...filterOptions, signalfdInUse: true }),
    };
    this.commands = new Commands(this.kernel, options.name, (signalfdInUse) =>
      signalfdInUse ? stubFilters.signalfd : stubFilters.plain,
    );
    this.dispatcher = new Dispatcher(
      this.kernel,
      () => this.#hear(),
      (ending) => send({ type: 'root-ended', ending }),
    );
  }

  run(): void {
    this.#startDoorbell();
    this.kernel.scheduler.start('launch', this.#launch());
    const { scheduler } = this.kernel;
    let awakeSince = performance.now();
    while (!this.#finished) {
      const tid = scheduler.busy ? this.reaper.poll() : this.reaper.wait();
      if (!scheduler.busy) awakeSince = performance.now();
      else if (performance.now() - awakeSince > LONGEST_RUN) {
        // A thread of the program may wait for this very processor: it should not wait for our time slice.
        c.syscall3(SYS.sched_yield, 0, 0, 0);
        awakeSince = performance.now();
      }
      if (tid > 0) this.dispatcher.report(tid, this.reaper.status);
      scheduler.runReady();
    }
    send({ type: 'tree-ended' });
  }

  /** Nothing is left to supervise. */
  get #finished(): boolean {
    for (const tid of this.kernel.tasks.keys()) if (tid !== this.#doorbellPid) return false;
    return !this.kernel.scheduler.busy;
  }

  #startDoorbell(): void {
    const { image } = assembleLauncher('doorbell', 0x1000);
    const { pid } = spawnImage(image, 'atlas-doorbell', [[doorbell, DOORBELL_FD]]);
    this.#doorbellPid = pid;
    this.kernel.task(pid).role = 'doorbell';
    ptrace.seize(pid);
  }

  *#launch(): Steps<void> {
    try {
      const { storeFd } = this.kernel;
      const filter = baseFilter({ gateStart: GATE_START, gateEnd: GATE_FREE_END, marker: MARKER, storeFd });
      const task = yield* launch(this.kernel, { ...options, filter });
      const space: Space = yield* convertImage(this.kernel, task);
      this.kernel.rootPid = task.tid;
      const thread = addProcess(this.kernel, task, space, undefined);
      send({ type: 'started', pid: task.tid });
      letGo(thread);
    } catch (error) {
      send({ type: 'failed', error: AtlasError.from(error).toJSON() });
      for (const task of this.kernel.tasks.values())
        if (task.role === 'launcher') process.kill(task.tid, 'SIGKILL');
    }
  }

  /** The doorbell rang: take in what the control side asks. */
  #hear(): void {
    for (let entry = receiveMessageOnPort(port); entry; entry = receiveMessageOnPort(port)) {
      const message = entry.message as ToTracer;
      if (message.type === 'request') this.commands.serve(message, send);
      else {
        this.#timers.get(message.id)?.();
        this.#timers.delete(message.id);
      }
    }
  }

  /** Ends everything: what a defect of ours left undone in the target cannot be trusted. */
  #defect(where: string, error: unknown): void {
    send({ type: 'failed', error: AtlasError.from(error).toJSON(), where });
    for (const tid of this.kernel.tasks.keys()) {
      try {
        process.kill(tid, 'SIGKILL');
      } catch {
        // Already gone.
      }
    }
  }
}

/** The same number in every process of the tree: the filter compares with it. */
function storeDescriptor(): number {
  const { hard } = getLimit(process.pid, 'openFiles');
  if (hard < 64n)
    throw new AtlasError('unsupported-machine', 'RLIMIT_NOFILE is too low.', 'Raise `ulimit -n`.');
  return Number(hard < 1020n ? hard - 1n : 1019n);
}

if (parentPort) new Tracer().run();
