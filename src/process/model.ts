/**
 * What the supervisor knows about the supervised programs. Data and invariants only.
 *
 *     Process ── threads ──▶ Thread ── home ──▶ Task     in the process's own host process
 *        │                     │ └──── stub ──▶ Task     in the stub process of `generation`
 *        └── space ──▶ Space ──┴ generations ──▶ Generation
 *
 * A vfork child shares the Space of its parent until it executes.
 */
import type { Hold } from './hold.js';
import { KeptOpen } from '../linux/kept-open.js';
import type { Store } from '../memory/store.js';
import { Registers } from '../x64/registers.js';
import { Heap } from './heap.js';
import type { Place } from './place.js';
import { Lock, type Scheduler } from './steps.js';
import type { Task } from './task.js';
import type { TextCopy } from './text.js';
import { WatchedRanges } from './watched.js';

/** Bytes of a generation that differ from what the base had when they were written. */
export interface Divergence {
  address: number;
  bytes: Uint8Array;
}

export class Generation {
  /** Never runs program code; stopped in the gate between the calls it performs. Undefined for the base. */
  readonly agent: Task | undefined;
  readonly divergences: Divergence[] = [];
  /** Breakpoint bytes in the text of its host process, by address. */
  readonly breakpoints = new Map<number, Breakpoint>();
  /** Where there ever was one: a trap may be heard of after its breakpoint has gone. */
  readonly trapAddresses = new Set<number>();
  /** Copies of the text that are being made, and must not keep what is ours in it. */
  readonly copies = new Set<TextCopy>();
  /** Its host process was told to end: by us, so that the end of a stub means nothing more. */
  ended = false;
  /** Held by whoever has the agent perform calls. */
  readonly agentLock: Lock;
  /** Stub tasks that wait, stopped, for a thread. */
  readonly spareStubs: Task[] = [];

  constructor(
    scheduler: Scheduler,
    readonly id: number,
    hostPid: () => number,
    agent?: Task,
  ) {
    this.agentLock = new Lock(scheduler);
    this.#hostPid = hostPid;
    this.agent = agent;
  }

  /** A live task of the host process that embodies it. */
  get hostPid(): number {
    return this.#hostPid();
  }
  readonly #hostPid: () => number;
}

/** A process image: what an exec makes and the next one ends. */
export class Space {
  readonly generations = new Map<number, Generation>();
  nextGeneration = 1;
  /** For when the kernel hides the process. */
  readonly files: KeptOpen;
  /** Held by whoever changes the mappings; a thread that makes a memory call waits for it. */
  readonly lock: Lock;
  /** Held, before `lock`, by whoever changes the set of generations. */
  readonly generationLock: Lock;
  /** Held, before all others, by whoever was asked to change generations, threads or text (change.ts). */
  readonly changeLock: Lock;
  /** Nobody runs program code: a fork copies the memory. */
  hold: Hold | undefined;
  /** The base's helper thread; exists only while there is more than one generation. */
  baseAgent: Task | undefined;
  /** Processes that run in this space: more than one during vfork. */
  users = 0;
  /** The one that the space was made for; the others borrow it. */
  hostProcess: Process | undefined;
  /** Some areas are marked MADV_DONTFORK: the clone of a generation would leave them out too. */
  usesDontFork = false;
  /** Why memory calls go by way of the supervisor (gate-mode.ts): there is, or will be, a second generation. */
  wantsPlural = false;
  /** Somebody needs the mappings to himself (gate-mode.ts, alone). */
  exclusive = false;
  readonly heap: Heap;
  /** What only the supervisor may change. */
  readonly watched: WatchedRanges;
  /**
   * A dynamic loader maps the texts: they are executed as they lie there. A program without one that maps
   * other programs' text is an emulator, and reads it (valgrind): then it must be as it is in the file.
   */
  executesMappedText = true;
  /** The initial thread's stack, as far as it may grow. */
  stack = { start: 0, end: 0 };
  /**
   * Memory of the store that the program has sealed (mseal(2)), for good. A fork child could not get its own
   * store there: the kernel leaves it out (MADV_DONTFORK), and the child maps and seals it anew.
   */
  readonly sealed: { start: number; end: number }[] = [];
  /** Somebody looks through the kept pages; how patient the gate shall be afterwards (kept-pages.ts). */
  sweeping = false;
  patience = 1024;
  /** Milliseconds, as performance.now() says. */
  sweptAt = Number.NEGATIVE_INFINITY;
  /** Code that rewritten call sites jump to. */
  readonly islands: Island[] = [];

  constructor(
    scheduler: Scheduler,
    readonly store: Store,
    /** A live task of the base's host process, for /proc. */
    public hostPid: number,
  ) {
    this.files = new KeptOpen(hostPid);
    this.lock = new Lock(scheduler);
    this.heap = new Heap(store);
    this.watched = new WatchedRanges(store);
    this.generationLock = new Lock(scheduler);
    this.changeLock = new Lock(scheduler);
    this.generations.set(0, new Generation(scheduler, 0, () => this.hostPid));
  }

  get base(): Generation {
    return this.generations.get(0)!;
  }

  /** Whether memory calls must be repeated elsewhere. */
  get plural(): boolean {
    return this.generations.size > 1 || this.baseAgent !== undefined;
  }
}

/** Pages with a slot of code for each of the call sites that jump there (process/rewrite.ts). */
export interface Island {
  start: number;
  /** Addresses of the sites, in the order of their slots. */
  sites: number[];
}

/** A breakpoint in the text of one generation's host process. */
export interface Breakpoint {
  /** Whose text it is. */
  text: Generation;
  address: number;
  /** The byte below the 0xcc. */
  original: number;
  /** Threads that sleep in the kernel and will come out here. */
  sleepers: Set<Thread>;
  /** Threads that are expected here on their return from a replaced function. */
  visitors: Map<Thread, Request>;
  /** Threads on their way past it; the byte is away meanwhile. */
  stepping: number;
}

export interface StashedSignal {
  signal: number;
  /** siginfo_t */
  info: Uint8Array;
}

/** What a thread is asked to do at its next convenient stop. */
export type Request = (thread: Thread) => import('./steps.js').Steps<void>;

/** Where every thread begins; the other places, and the ways between them, are in place.ts. */
export const HOME: Place = { at: 'home' };

/**
 * Who decides when the thread goes on. `free`: its next stop is the dispatcher's. `taken`: a program works on it,
 * and its stops belong to that. The others are taken, too, and stand, stopped, until what they wait for comes.
 */
export type Turn = 'free' | 'taken' | 'at the lock' | 'at the barrier';

export class Thread {
  /** The generation whose code the thread runs next. */
  generation: Generation;
  /** Where its user-mode state is; changed by place.ts only. */
  place: Place = HOME;
  /** Changed by turns.ts only. */
  turn: Turn = 'free';
  /** Programs that want the thread stopped at a plain place. */
  readonly requests: Request[] = [];
  /** While its home makes a call for it, the thread's own registers. */
  readonly caller = new Registers();
  /** It has left the process's file table or working directory (unshare): a stub would use the wrong ones. */
  ownTables = false;
  /** Its memory call was let through at home, and it has not stopped since: the call may be under way. */
  letThrough = false;
  /** When it was last expected at a breakpoint, it had SIGTRAP blocked, which the breakpoint's hit undoes. */
  trapBlocked = false;
  /** It waits, in the kernel and not to be interrupted, for the child that it has made with vfork. */
  vforkChild: Process | undefined;
  /** When a call of its was made again with its whole time-out, as performance.now() says. */
  startedAnew = Number.NEGATIVE_INFINITY;
  /** Of its last move out of the base, from the asking to the stub's running. */
  lastPauseMicroseconds = 0;
  /** What it has named as its alternate signal stack, unless it has taken that back. */
  alternateStack: { start: number; end: number } | undefined;
  /** Called once when the thread has ended. */
  readonly onGone = new Set<() => void>();
  /** A job-control stop holds it. */
  held = false;
  /** Signals that came at a moment at which they could not be delivered. */
  readonly stashedSignals: StashedSignal[] = [];
  /** Sent again by us, and not yet at their delivery stop. */
  readonly reraised: StashedSignal[] = [];

  constructor(
    readonly tid: number,
    readonly home: Task,
    public process: Process,
    generation: Generation,
  ) {
    this.generation = generation;
    home.role = 'home';
    home.thread = this;
  }

  /** The task that runs the thread's code while it lives outside the base. */
  get stub(): Task | undefined {
    const { place } = this;
    return place.at === 'home' || place.at === 'gone' ? undefined : place.stub;
  }

  /** The task that runs the thread's code now. */
  get runner(): Task {
    return this.stub ?? this.home;
  }

  /** The generation whose text its runner executes: of a sleeper that is to move, the one that it sleeps in. */
  get text(): Generation {
    return this.stub ? this.generation : this.process.space.base;
  }

  get busy(): boolean {
    return this.turn !== 'free';
  }

  /** It runs no more: nothing that is asked of it will be served. */
  get exited(): boolean {
    return this.place.at === 'gone';
  }
}

export class Process {
  readonly threads = new Map<number, Thread>();
  command = '';
  executable = '';
  ended = false;
  /** It wanted to trace, or to be traced, and its user was told why that fails. */
  toldOfTracing = false;
  readonly patches: AppliedPatchRecord[] = [];

  constructor(
    readonly pid: number,
    public space: Space,
    readonly parent: Process | undefined,
  ) {}
}

/** A patch in force, for `patch status` and for the next patch to build on. */
export interface AppliedPatchRecord {
  name: string;
  strategy: 'local' | 'global';
  state: 'rolling-out' | 'settled';
  functions: { name: string; address: number }[];
  /** What this patch and those before it leave, for the next one to build on: the patcher's own record. */
  leaves: unknown;
}
