/**
 * What the control side (main thread, socket, CLI) may ask of the tracing thread, and what it answers.
 * Everything here is plain data: it crosses a thread boundary by structured clone and a socket as JSON.
 */

/** Which supervised process: the run's name (its main process) or a pid. */
export type ProcessRef = string;

export interface ProcessInfo {
  name: string;
  pid: number;
  command: string;
  threads: number;
  /** Ids of the live generations, ascending; `[0]` for a process with one plain address space. */
  generations: number[];
}

/** What a thread is doing: `asleep` = blocked in the kernel; `stopped` = held by a job-control stop. */
export type ThreadState = 'running' | 'asleep' | 'stopped';

export interface ThreadInfo {
  tid: number;
  name: string;
  /** The generation whose code the thread runs next. */
  generation: number;
  state: ThreadState;
  /** The system call a sleeping thread is blocked in, by name. */
  syscall?: string;
}

/** How a generation sees an area. */
export type AreaView = 'shared' | 'unshared' | 'private';

export interface AreaInfo {
  start: string;
  end: string;
  protection: string;
  /** `shared`: same pages in all generations; `private`: a read-only/executable file mapping, the same
   *  bytes in all; `unshared`: this generation has bytes of its own there. */
  view: AreaView;
  name: string;
}

export interface GenerationInfo {
  generation: number;
  threads: number[];
  /** Ranges whose bytes differ from the base: hexadecimal start address, length in bytes. */
  diverged: { address: string; length: number }[];
}

export interface MovedThread {
  tid: number;
  pauseMicroseconds: number;
  /** True when the thread slept in the kernel and was not disturbed: it counts as moved. */
  asleep: boolean;
}

export interface PendingThread {
  tid: number;
  reason: string;
}

export type PatchStrategy = 'local' | 'global';

export interface PatchedFunction {
  name: string;
  address: string;
}

export interface AppliedPatch {
  patch: string;
  strategy: PatchStrategy;
  threads: MovedThread[];
  totalMilliseconds: number;
  /** What the one who built the patch vouched for, and other doubts that it carries. */
  warnings: string[];
  settled: boolean;
}

export interface PatchStatus {
  patches: {
    patch: string;
    strategy: PatchStrategy;
    state: 'rolling-out' | 'settled';
    functions: PatchedFunction[];
  }[];
}

/** Every operation, with its parameters and its result. */
export interface Operations {
  ps: { parameters: Record<string, never>; result: { processes: ProcessInfo[] } };
  threads: { parameters: { process: ProcessRef }; result: { threads: ThreadInfo[] } };
  areas: { parameters: { process: ProcessRef; generation?: number }; result: { areas: AreaInfo[] } };
  'generation.create': {
    parameters: { process: ProcessRef };
    result: { generation: number; microseconds: number };
  };
  'generation.list': { parameters: { process: ProcessRef }; result: { generations: GenerationInfo[] } };
  'generation.delete': {
    parameters: { process: ProcessRef; generation: number };
    result: { generation: number };
  };
  read: {
    /** `address` is hexadecimal with 0x; `symbol` is `name` or `name+offset` of the main executable. */
    parameters: {
      process: ProcessRef;
      generation: number;
      address?: string;
      symbol?: string;
      length: number;
    };
    result: { address: string /** hexadecimal digits */; bytes: string };
  };
  write: {
    parameters: {
      process: ProcessRef;
      generation: number;
      address?: string;
      symbol?: string;
      /** hexadecimal digits */
      bytes: string;
    };
    result: { address: string; length: number };
  };
  migrate: {
    /** Without `threads`, all threads of the process. */
    parameters: { process: ProcessRef; to: number; threads?: number[]; timeoutMilliseconds?: number };
    result: { moved: MovedThread[]; pending: PendingThread[] };
  };
  settle: {
    parameters: { process: ProcessRef; timeoutMilliseconds?: number };
    result: { moved: MovedThread[]; pending: PendingThread[]; settled: boolean };
  };
  'patch.apply': {
    parameters: {
      process: ProcessRef;
      strategy: PatchStrategy;
      /** The patch file's name, for messages. */
      file: string;
      /** The patch file's content in base64: the caller reads it with the caller's own rights. */
      content: string;
      timeoutMilliseconds?: number;
    };
    result: AppliedPatch;
  };
  'patch.status': { parameters: { process: ProcessRef }; result: PatchStatus };
  /** What the supervisor is doing, for people who look for a defect of Atlas: the text has no stable form. */
  diagnose: { parameters: Record<string, never>; result: { lines: string[] } };
}

export type OperationName = keyof Operations;
export type Parameters<N extends OperationName> = Operations[N]['parameters'];
export type Result<N extends OperationName> = Operations[N]['result'];

/** One structured event of the supervisor's log: a stable name, and plain fields. */
export interface SupervisorEvent {
  /** Milliseconds since the supervisor started. */
  at: number;
  event: string;
  [field: string]: unknown;
}

/** How the supervised command ended. */
export type Ending = { kind: 'exited'; code: number } | { kind: 'signalled'; signal: number; core: boolean };

/** What `Tracer` (src/supervisor/tracer.ts) offers to the main thread. */
export interface TracerHandle {
  /** The host pid of the root process. */
  readonly pid: number;
  request<N extends OperationName>(operation: N, parameters: Parameters<N>): Promise<Result<N>>;
  /** Delivered in order; used by `--json` logs, tests and the dashboard. */
  onEvent(listener: (event: SupervisorEvent) => void): void;
  /** Resolves when the root process has ended (its status), and when the whole tree is gone. */
  readonly rootEnded: Promise<Ending>;
  readonly treeEnded: Promise<void>;
}

export interface LaunchOptions {
  /** The command and its arguments; `argv[0]` is looked up in PATH as execvp(3) does. */
  argv: string[];
  env: Record<string, string>;
  name: string;
  /** Standard streams that the command finds closed. */
  closed: number[];
  /** What it finds blocked and ignored; bit n-1 stands for signal n. */
  blockedSignals: bigint;
  ignoredSignals: bigint;
}
