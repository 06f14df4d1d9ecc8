import { type Socket, connect } from 'node:net';
import { now } from './clock.js';
import type { Conversation } from './conversation.js';
import type { Recorder } from './recording.js';

/** One TCP connection with at most one request under way. */
export class LoadConnection {
  readonly #socket: Socket;
  readonly #conversation: Conversation;
  readonly #recorder: Recorder;
  readonly #slow: boolean;
  readonly #whenIdle: (connection: LoadConnection) => void;
  #text = '';
  #startedAt = 0;
  #closing = false;
  busy = false;
  broken = false;

  constructor(
    port: number,
    conversation: Conversation,
    recorder: Recorder,
    slow: boolean,
    whenIdle: (connection: LoadConnection) => void,
  ) {
    this.#conversation = conversation;
    this.#recorder = recorder;
    this.#slow = slow;
    this.#whenIdle = whenIdle;
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text) => this.#receive(text as unknown as string));
    this.#socket.on('error', (error) => this.#break(error.message));
    this.#socket.on('close', () => this.#break('the server closed the connection'));
  }

  /** `dueAt`: a request that waited for the one before it has been late since then, and its latency says so. */
  send(dueAt: number): void {
    this.busy = true;
    this.#startedAt = dueAt;
    this.#socket.write(this.#conversation.next(), 'latin1');
  }

  close(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  #receive(text: string): void {
    this.#text += text;
    const length = this.#conversation.answerLength(this.#text);
    if (length === 0 || !this.busy) return;
    const verdict = this.#conversation.check(this.#text.slice(0, length));
    this.#text = this.#text.slice(length);
    if (this.#text.length > 0)
      verdict.wrong ??= `more than the answer: ${JSON.stringify(this.#text.slice(0, 80))}`;
    this.#recorder.add(this.#startedAt, now(), this.#slow, verdict);
    this.busy = false;
    this.#whenIdle(this);
  }

  #break(reason: string): void {
    if (this.#closing || this.broken) return;
    this.broken = true;
    this.busy = false;
    this.#recorder.fail(reason);
  }
}
