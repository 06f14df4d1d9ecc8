import { once } from 'node:events';
import { createServer } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { Recording } from './recording.js';

export interface LoadOptions {
  protocol: 'quote' | 'memcached';
  port: number;
  connections: number;
  /** So many of the connections ask for what takes long by nature. */
  slowConnections: number;
  /** All connections together; 0: each asks again as soon as it is answered. */
  requestsPerSecond: number;
  /** How many answers can be recorded; the load pauses when it has seen so many. */
  capacity: number;
}

/** A load that runs in its own thread until it is stopped. */
export class Load {
  readonly #worker: Worker;
  readonly #result: Promise<Recording>;

  constructor(options: LoadOptions) {
    this.#worker = new Worker(new URL('./generator.js', import.meta.url), { workerData: options });
    this.#result = new Promise((resolve, reject) => {
      this.#worker.once('message', resolve);
      this.#worker.once('error', reject);
    });
    // Whoever stops the load learns of it; until then nobody waits for this promise.
    this.#result.catch(() => {});
  }

  /** Lets the requests under way be answered, and has the last check made. */
  async stop(): Promise<Recording> {
    this.#worker.postMessage('stop');
    return this.#result;
  }

  async abandon(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** A port of the loopback that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  server.close();
  await once(server, 'close');
  return port;
}
