import { Socket } from 'node:net';
import type { FailureKind } from '../../errors/atlas-error.js';
import type { Ending } from '../../supervisor/protocol.js';

/** What the front process, which the user's shell waits for, tells the supervisor at the beginning. */
export interface Orders {
  argv: string[];
  /** Names for the run, in order of preference. */
  names: string[];
  directory: string;
  detach: boolean;
  /** The output goes to a log that is named after the run, whose name is not known before it has its socket. */
  ownLog: boolean;
  /** The file for structured events, one JSON document per line. */
  events: string | undefined;
  /** Descriptors above 2 that the shell gave to us and that are the program's. */
  descriptors: number[];
  /** Standard streams that are closed for the program. */
  closed: number[];
  /** Signal masks in hexadecimal, when they are known: Node.js has set others for itself. */
  signals: { blocked: string; ignored: string } | undefined;
  /** The soft RLIMIT_NOFILE that the program is to have; Node.js raises its own. */
  openFiles: number | undefined;
}

export type ToSupervisor = { kind: 'orders'; orders: Orders } | { kind: 'signal'; signal: NodeJS.Signals };

export type ToFront =
  | { kind: 'started'; name: string; pid: number; socket: string; log: string | undefined }
  | { kind: 'failed'; failure: LaunchFailure }
  | { kind: 'ended'; ending: Ending };

export interface LaunchFailure {
  error: { kind: FailureKind; message: string; advice: string };
  /** 126 or 127 when the command itself cannot be executed. */
  exitCode: number | undefined;
}

/** The two processes' connection: JSON documents, one per line. Its end tells each that the other is gone. */
export class Channel<Sent, Received> {
  readonly #socket: Socket;
  #buffered = '';

  constructor(socket: Socket, handlers: { received(message: Received): void; closed(): void }) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      const lines = (this.#buffered + chunk).split('\n');
      this.#buffered = lines.pop()!;
      for (const line of lines) handlers.received(JSON.parse(line) as Received);
    });
    // 'close' follows, and says all there is to say about a broken connection.
    socket.on('error', () => {});
    socket.on('close', () => handlers.closed());
  }

  static on<S, R>(
    descriptor: number,
    handlers: { received(message: R): void; closed(): void },
  ): Channel<S, R> {
    return new Channel(new Socket({ fd: descriptor }), handlers);
  }

  /** Resolves when the kernel has it, so that the sender may end. */
  send(message: Sent): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) resolve();
      else this.#socket.write(`${JSON.stringify(message)}\n`, () => resolve());
    });
  }

  /** Lets the process end although the connection is open. */
  release(): void {
    this.#socket.unref();
  }
}
