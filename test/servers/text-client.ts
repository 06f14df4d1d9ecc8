import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

/** A connection to a server that speaks in lines: memcached and redis. An unexpected end is an error. */
export class TextClient {
  readonly #socket: Socket;
  #received = '';
  #failure: Error | undefined;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      this.#received += chunk;
      this.#wake();
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed the connection')));
  }

  static async connect(port: number): Promise<TextClient> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new TextClient(socket);
  }

  /** Sends a request and returns the answer up to and including `end`. */
  async ask(request: string, end: string | RegExp): Promise<string> {
    this.#socket.write(request, 'latin1');
    for (;;) {
      const length = this.#answerLength(end);
      if (length > 0) {
        const answer = this.#received.slice(0, length);
        this.#received = this.#received.slice(length);
        return answer;
      }
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#failure = new Error('closed here');
    this.#socket.destroy();
  }

  #answerLength(end: string | RegExp): number {
    if (typeof end === 'string') {
      const at = this.#received.indexOf(end);
      return at < 0 ? 0 : at + end.length;
    }
    const match = end.exec(this.#received);
    return match === null ? 0 : match.index + match[0].length;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }
}
