import { once } from 'node:events';
import type { Server } from 'node:http';
import { createAdaptorServer, type HttpBindings } from '@hono/node-server';
import { type Context as HonoContext, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { streamSSE } from 'hono/streaming';
import { AtlasError, type FailureKind } from '../errors/atlas-error.js';
import type { TracerHandle } from '../supervisor/protocol.js';
import { ConnectionLimit, type Work } from './connection-limit.js';
import type { EventLog, NumberedEvent } from './event-log.js';
import type { RuntimeDirectory } from './runtime-directory.js';
import { isOperationName, parseParameters } from './schema.js';
import { type PublishedSocket, publishSocket } from './socket-file.js';

/** What `GET /v1/run` says about the supervisor that answers. */
export interface RunInfo {
  name: string;
  /** The root process's pid; 0 as long as it is being started. */
  pid: number;
  supervisorPid: number;
  command: string[];
  /** ISO 8601. */
  startedAt: string;
}

/** What the socket serves; `tracer` is missing while the program is being started. */
export interface Run {
  info: RunInfo;
  tracer: Pick<TracerHandle, 'request'> | undefined;
  events: EventLog;
}

const STATUS = {
  'bad-usage': 400,
  'no-such-process': 404,
  refused: 409,
  'nothing-to-do': 409,
  'bad-input': 422,
  internal: 500,
  'unsupported-machine': 501,
  'not-finished': 504,
} as const satisfies Record<FailureKind, number>;

const LARGEST_BODY = 64 * 1024 * 1024;

/** A follower of the events that does not read them is cut off at this many: our memory is not its queue. */
const LONGEST_BACKLOG = 16_384;

/** Milliseconds in which a client must have sent what it asks; how long the answer takes is another matter. */
const LONGEST_HEAD = 5000;
const LONGEST_REQUEST = 60_000;
const CHECKS_EVERY = 1000;

type Context = HonoContext<{ Bindings: HttpBindings }>;

export function controlApplication(run: Run, connections: ConnectionLimit): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>();
  const works = (c: Context, work: Work): void => connections.works(c.env.incoming.socket, work);
  app.use(
    bodyLimit({
      maxSize: LARGEST_BODY,
      onError: () => {
        throw new AtlasError('bad-usage', `A request may have at most ${LARGEST_BODY} bytes.`);
      },
    }),
  );
  app.get('/v1/run', (c) => c.json(run.info));
  app.get('/v1/events', (c) => {
    works(c, 'follows');
    return streamEvents(c, run.events);
  });
  app.post('/v1/:operation', async (c) => {
    const operation = c.req.param('operation');
    if (!isOperationName(operation)) {
      throw new AtlasError('bad-usage', `There is no operation "${operation}".`);
    }
    const parameters = parseParameters(operation, await jsonBody(c));
    if (!run.tracer)
      throw new AtlasError('no-such-process', `The program of ${run.info.name} is not started yet.`);
    works(c, 'is served');
    try {
      return c.json(await run.tracer.request(operation, parameters));
    } finally {
      works(c, 'talks');
    }
  });
  app.notFound((c) => failure(c, new AtlasError('bad-usage', `There is no ${c.req.method} ${c.req.path}.`)));
  app.onError((error, c) => failure(c, AtlasError.from(error)));
  return app;
}

function failure(c: Context, error: AtlasError): Response {
  return c.json({ error: error.toJSON() }, STATUS[error.kind]);
}

async function jsonBody(c: Context): Promise<unknown> {
  const text = await c.req.text();
  if (text === '') return {};
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AtlasError('bad-usage', `The request's body is not JSON: ${(error as Error).message}`);
  }
}

/** Server-sent events (WHATWG HTML, section 9.2); `Last-Event-ID` resumes after that number. */
function streamEvents(c: Context, events: EventLog): Response {
  const last = Number(c.req.header('last-event-id') ?? 0);
  return streamSSE(c, async (stream) => {
    const backlog: NumberedEvent[] = [];
    let wake = () => {};
    const unfollow = events.follow(Number.isSafeInteger(last) ? last : 0, (entry) => {
      backlog.push(entry);
      wake();
    });
    stream.onAbort(() => wake());
    try {
      // Tells the client that it is connected, though no event may come for hours.
      await stream.write(': connected\n\n');
      while (!stream.aborted && backlog.length <= LONGEST_BACKLOG) {
        const entry = backlog.shift();
        if (entry) {
          await stream.writeSSE({
            id: String(entry.sequence),
            event: 'event',
            data: JSON.stringify(entry.event),
          });
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      unfollow();
    }
  });
}

/** A control socket in service. */
export interface ControlServer {
  readonly name: string;
  readonly socket: string;
  /** Nobody finds the run any more; what is connected stays so. */
  removeName(): void;
  /** Stops answering, ends open connections, and removes the socket's name. */
  close(): Promise<void>;
}

/**
 * Serves `run` at the first of `names` that no live run has, and writes that name into `run.info`;
 * `bad-usage` when all are taken.
 */
export async function serveRun(
  run: Run,
  directory: RuntimeDirectory,
  names: Iterable<string>,
): Promise<ControlServer> {
  const connections = new ConnectionLimit();
  const server = createAdaptorServer({
    fetch: controlApplication(run, connections).fetch,
    serverOptions: {
      headersTimeout: LONGEST_HEAD,
      requestTimeout: LONGEST_REQUEST,
      connectionsCheckingInterval: CHECKS_EVERY,
    },
  }) as Server;
  connections.watch(server);
  let published: PublishedSocket | undefined;
  let first: string | undefined;
  try {
    for (const name of names) {
      first ??= name;
      published = await publishSocket(server, directory, name);
      if (!published) continue;
      run.info.name = name;
      return {
        name,
        socket: published.path,
        removeName: published.remove,
        close: () => close(server, published!),
      };
    }
  } catch (error) {
    server.close();
    throw error;
  }
  server.close();
  throw new AtlasError(
    'bad-usage',
    `A run with the name "${first ?? ''}" is alive already.`,
    'Choose another --name; `atlas ps` lists the names in use.',
  );
}

async function close(server: Server, published: PublishedSocket): Promise<void> {
  published.remove();
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}
