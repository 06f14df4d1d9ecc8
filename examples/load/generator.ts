/** The load's own thread: it sends, receives and checks, so that whoever started it can be busy with other things. */
import { connect } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { now } from './clock.js';
import { LoadConnection } from './connection.js';
import type { Protocol } from './conversation.js';
import type { LoadOptions } from './load.js';
import { memcachedProtocol } from './memcached-protocol.js';
import { quoteProtocol } from './quote-protocol.js';
import { Recorder } from './recording.js';

const LAST_ANSWERS_MILLISECONDS = 15_000;
const options = workerData as LoadOptions;
const protocol: Protocol =
  options.protocol === 'quote' ? quoteProtocol(options.slowConnections) : memcachedProtocol();
const recorder = new Recorder(options.capacity);
const connections: LoadConnection[] = [];
/** When each connection's next request is due; requests that are overdue go out as soon as the connection is idle. */
const dueAt: number[] = [];
const steadyConnections = options.connections - options.slowConnections;
const interval = options.requestsPerSecond === 0 ? 0 : (1000 * steadyConnections) / options.requestsPerSecond;
let running = true;

function mayAsk(connection: LoadConnection): boolean {
  return running && !connection.busy && !connection.broken && !recorder.isFull;
}

/**
 * At a tick an idle connection sends what is due. It is timed from now: that the timer came late is not the
 * server's fault.
 */
function tick(): void {
  const time = now();
  for (const [index, connection] of connections.entries()) {
    if (!mayAsk(connection) || dueAt[index]! > time) continue;
    dueAt[index]! += interval;
    connection.send(time);
  }
  if (running) setTimeout(tick, 1);
}

/**
 * An answer has come. A request that fell due while the connection waited for it is timed from when it was due, or a
 * server that stands still would count as a single late answer.
 */
function continueAfterAnswer(connection: LoadConnection, index: number): void {
  const time = now();
  const closedLoop = interval === 0 || index < options.slowConnections;
  if (!mayAsk(connection) || (!closedLoop && dueAt[index]! > time)) return;
  const due = closedLoop ? time : dueAt[index]!;
  dueAt[index]! += interval;
  connection.send(due);
}

function start(): void {
  for (let index = 0; index < options.connections; index++) {
    const slow = index < options.slowConnections;
    connections.push(
      new LoadConnection(options.port, protocol.conversation(index), recorder, slow, (connection) =>
        continueAfterAnswer(connection, index),
      ),
    );
    dueAt.push(now() + (interval * index) / options.connections);
  }
  tick();
}

/** One request on a connection of its own. */
function ask(request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: options.port, host: '127.0.0.1' });
    socket
      .setEncoding('latin1')
      .setTimeout(LAST_ANSWERS_MILLISECONDS, () => socket.destroy(new Error('no answer')));
    let text = '';
    socket.on('data', (part) => {
      text += part as unknown as string;
      if (!text.endsWith('\n')) return;
      resolve(text);
      socket.destroy();
    });
    socket.on('error', reject);
    socket.write(request);
  });
}

async function checkTogether(): Promise<void> {
  if (protocol.closing === undefined) return;
  try {
    const wrong = protocol.closing.wrong(await ask(protocol.closing.request));
    if (wrong !== undefined) recorder.fail(wrong);
  } catch (error) {
    recorder.fail(`the last question was not answered: ${(error as Error).message}`);
  }
}

async function finish(): Promise<void> {
  running = false;
  const deadline = now() + LAST_ANSWERS_MILLISECONDS;
  while (connections.some((connection) => connection.busy) && now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 2));
  for (const connection of connections) if (connection.busy) recorder.fail('a request was never answered');
  if (recorder.recording.failures === 0) await checkTogether();
  for (const connection of connections) connection.close();
  const { startedAt, microseconds, slow, version, thread, turn } = recorder.recording;
  parentPort!.postMessage(
    recorder.recording,
    [startedAt, microseconds, slow, version, thread, turn].map((column) => column.buffer as ArrayBuffer),
  );
  parentPort!.close();
}

parentPort!.once('message', () => void finish());
start();
