/**
 * The supervisor process of one run: `node supervisor.js DESCRIPTOR`, started by the front process (front.ts)
 * which sends its orders over that descriptor. It lives as long as the process tree that it supervises.
 */
import fs from 'node:fs';
import { constants } from 'node:os';
import { Writable } from 'node:stream';
import { EventLog } from '../../api/event-log.js';
import { openRuntimeDirectory } from '../../api/runtime-directory.js';
import { type ControlServer, type Run, serveRun } from '../../api/server.js';
import { AtlasError } from '../../errors/atlas-error.js';
import type { SupervisorEvent, TracerHandle } from '../../supervisor/protocol.js';
import { startTracer } from '../../supervisor/tracer.js';
import { writeAll } from '../output/streams.js';
import { Channel, type LaunchFailure, type Orders, type ToFront, type ToSupervisor } from './channel.js';
import { openOwnLog } from './log.js';
import {
  exitNow,
  letGoOf,
  privateCopy,
  redirect,
  setCloseOnExec,
  withOpenFileLimit,
} from './native-attributes.js';
import { SignalForwarder } from './signal-forwarder.js';

/** Descriptors 0 to 2 are the program's; what we have to say goes to a copy, prefixed. */
let diagnostics: number | undefined = privateCopy(2);
const diagnose = (text: string): void => {
  if (diagnostics !== undefined) writeAll(diagnostics, text.trimEnd().replace(/^/gm, 'atlas: ').concat('\n'));
};

// A worker thread's standard streams are piped to process.stdout and process.stderr, and opening those makes
// the program's own pipes non-blocking.
for (const stream of ['stdout', 'stderr'] as const) {
  const value = new Writable({
    write: (chunk, _encoding, done) => {
      diagnose(String(chunk));
      done();
    },
  });
  Object.defineProperty(process, stream, { value, configurable: true });
}

let server: ControlServer | undefined;
let channel: Channel<ToFront, ToSupervisor>;

function end(status: number): never {
  server?.removeName();
  return exitNow(status);
}

process.on('uncaughtException', (error) => void fail(error));

/** Reports why the run cannot begin or go on. Ending ends the process tree: PTRACE_O_EXITKILL. */
async function fail(error: unknown): Promise<never> {
  const { kind, message, advice } = AtlasError.from(error);
  const { exitCode } = error as Partial<LaunchFailure>;
  // The front process tells its user; when it has left already, only the log is there to tell.
  if (state === 'root-ended' || (state === 'running' && detached)) diagnose(`${message}\n${advice}`);
  await channel.send({ kind: 'failed', failure: { error: { kind, message, advice }, exitCode } });
  return end(1);
}

/** A signal that comes before the program runs ends the run as it would have ended the program. */
async function cancel(signal: NodeJS.Signals): Promise<never> {
  await channel.send({
    kind: 'ended',
    ending: { kind: 'signalled', signal: constants.signals[signal], core: false },
  });
  return end(1);
}

async function supervise(orders: Orders, forwarder: SignalForwarder): Promise<void> {
  const events = new EventLog();
  const run: Run = {
    info: {
      name: '',
      pid: 0,
      supervisorPid: process.pid,
      command: orders.argv,
      startedAt: new Date().toISOString(),
    },
    tracer: undefined,
    events,
  };
  // Held open to the end: the socket's name is removed there, wherever the path leads by then.
  const directory = openRuntimeDirectory(orders.directory);
  server = await serveRun(run, directory, orders.names);
  process.title = `atlas ${server.name}`;
  const log = orders.ownLog ? openOwnLog(directory, server.name) : undefined;
  if (log) writeTo(log.descriptor);
  const tracer = await launch(orders, server.name);
  recordEvents(tracer, events, orders.events);
  run.info.pid = tracer.pid;
  run.tracer = tracer;
  forwarder.deliverTo(tracer);
  state = 'running';
  await channel.send({
    kind: 'started',
    name: server.name,
    pid: tracer.pid,
    socket: server.socket,
    log: log?.file,
  });

  const ending = await tracer.rootEnded;
  state = 'root-ended';
  await channel.send({ kind: 'ended', ending });
  // What lives on now are daemons: the terminal and the pipes belong to others again.
  if (!orders.detach) {
    fs.closeSync(diagnostics!);
    diagnostics = undefined;
    letGoOf(2);
  }
  await tracer.treeEnded;
  await server.close();
  end(0);
}

/** From here on the output of the program, and what we have to say, go there. */
function writeTo(log: number): void {
  redirect(log, 1, 2, diagnostics!);
  fs.closeSync(log);
}

async function launch(orders: Orders, name: string): Promise<TracerHandle> {
  const given = [0, 1, 2, ...orders.descriptors];
  for (const descriptor of given) setCloseOnExec(descriptor, false);
  const tracer = await withOpenFileLimit(orders.openFiles, () =>
    startTracer({
      argv: orders.argv,
      env: process.env as Record<string, string>,
      name,
      closed: orders.closed,
      blockedSignals: BigInt(`0x${orders.signals?.blocked ?? 0}`),
      ignoredSignals: BigInt(`0x${orders.signals?.ignored ?? 0}`),
    }),
  );
  for (const descriptor of orders.descriptors) fs.closeSync(descriptor);
  letGoOf(0, 1);
  return tracer;
}

function recordEvents(tracer: TracerHandle, events: EventLog, file: string | undefined): void {
  const descriptor = file === undefined ? undefined : fs.openSync(file, 'a', 0o600);
  tracer.onEvent((event) => {
    events.append(event);
    if (event.event === 'tracing-refused') diagnose(tracingRefused(event));
    if (descriptor !== undefined) fs.writeSync(descriptor, `${JSON.stringify(event)}\n`);
  });
}

/** LeakSanitizer, strace, gdb and proot fail in words of their own, which do not name the cause. */
const tracingRefused = ({ pid, command, target }: SupervisorEvent): string =>
  `${command} (pid ${pid}) ${target === undefined ? 'asks to be traced' : `asks to trace task ${target}`}, which fails: ` +
  'under Atlas, Atlas itself is the one tracer that Linux allows (docs/limits.md, Tracing).';

let state: 'waiting' | 'starting' | 'running' | 'root-ended' = 'waiting';
let detached = false;

function main(descriptor: number): void {
  setCloseOnExec(descriptor, true);
  const forwarder = new SignalForwarder((signal) => void cancel(signal));
  channel = Channel.on<ToFront, ToSupervisor>(descriptor, {
    received: (message) => {
      if (message.kind === 'signal') return forwarder.receivedByFront(message.signal);
      state = 'starting';
      detached = message.orders.detach;
      if (!detached) forwarder.expectFront();
      supervise(message.orders, forwarder).catch(fail);
    },
    closed: () => {
      // Killing a foreground job ends it. A front that ended in order has no more to do with us.
      if (state === 'waiting' || state === 'starting' || (state === 'running' && !detached)) end(1);
    },
  });
}

main(Number(process.argv[2]));
