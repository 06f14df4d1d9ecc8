import fs from 'node:fs';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** What a connection is there for: its client sends, receives or is idle; has its request served; or follows events. */
export type Work = 'talks' | 'is served' | 'follows';

/**
 * Bounds the connections to a control socket. Every one costs a descriptor of the supervisor, which needs its
 * descriptors to trace; and slow clients must not keep others out. When there is one too many, the oldest of those that
 * talk goes, then the oldest that follows events; when all are being served, the new one has come in vain.
 */
export class ConnectionLimit {
  readonly #most: number;
  /** In the order of their coming. */
  readonly #open = new Map<Socket, Work>();

  constructor(most = affordable()) {
    this.#most = most;
  }

  watch(server: Server): void {
    server.on('connection', (socket) => {
      this.#open.set(socket, 'talks');
      socket.once('close', () => this.#open.delete(socket));
      if (this.#open.size > this.#most) this.#sacrificed(socket).destroy();
    });
    server.on('request', (request, response) => {
      response.once('close', () => this.works(request.socket, 'talks'));
    });
  }

  works(socket: Socket, work: Work): void {
    if (this.#open.has(socket)) this.#open.set(socket, work);
  }

  #sacrificed(newest: Socket): Socket {
    for (const work of ['talks', 'follows'] as const)
      for (const [socket, its] of this.#open) if (its === work && socket !== newest) return socket;
    return newest;
  }
}

const FEWEST = 8;
const MOST = 128;

/** A quarter of what this process may open at all. */
function affordable(): number {
  const [, limit] = /^Max open files\s+(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8')) ?? [];
  return Math.min(MOST, Math.max(FEWEST, Math.floor(Number(limit ?? MOST * 4) / 4)));
}
