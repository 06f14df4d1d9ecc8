import type { Conversation, Protocol, Verdict } from './conversation.js';

/** 2^64 - 16: a counter of which the unfixed code looks for a minus sign in what follows, too. */
const LARGE_COUNTER = '18446744073709551600 -';
const INCREMENTED = '18446744073709551605\r\n';
const NOT_A_NUMBER = 'CLIENT_ERROR cannot increment or decrement non-numeric value\r\n';
const KEYS = 64;

type Kind = 'set' | 'get' | 'probe';

/**
 * Sets and gets keys of its own and compares the values; every fourth request is a probe, whose answer tells whether
 * the thread behind this connection runs the fixed code. (memcached gives a connection to one thread for good.)
 */
class MemcachedConversation implements Conversation {
  readonly #connection: number;
  /** The value each of this connection's keys has to have. */
  readonly #values: string[] = [];
  #count = 0;
  #kind: Kind = 'set';
  #key = 0;

  constructor(connection: number) {
    this.#connection = connection;
  }

  next(): string {
    const count = this.#count++;
    this.#key = Math.floor(count / 4) % KEYS;
    this.#kind = count % 4 === 0 ? 'set' : count % 4 === 3 ? 'probe' : 'get';
    if (this.#kind === 'probe') {
      const key = `probe-${this.#connection}`;
      return `set ${key} 0 0 ${LARGE_COUNTER.length}\r\n${LARGE_COUNTER}\r\nincr ${key} 5\r\n`;
    }
    const key = `key-${this.#connection}-${this.#key}`;
    if (this.#kind === 'get') return `get ${key}\r\n`;
    const value = `${count}-`.repeat((count % 40) + 1);
    this.#values[this.#key] = value;
    return `set ${key} 0 0 ${value.length}\r\n${value}\r\n`;
  }

  answerLength(text: string): number {
    const first = text.indexOf('\r\n') + 2;
    if (first === 1) return 0;
    if (this.#kind === 'set') return first;
    if (this.#kind === 'probe') {
      const second = text.indexOf('\r\n', first) + 2;
      return second === 1 ? 0 : second;
    }
    if (!text.startsWith('VALUE ')) return first;
    const bytes = Number(text.slice(text.lastIndexOf(' ', first) + 1, first - 2));
    const length = first + bytes + '\r\nEND\r\n'.length;
    return text.length < length ? 0 : length;
  }

  check(answer: string): Verdict {
    const verdict: Verdict = { version: 0, thread: this.#connection + 1, turn: this.#count };
    if (this.#kind === 'probe') {
      verdict.version =
        answer === `STORED\r\n${NOT_A_NUMBER}` ? 1 : answer === `STORED\r\n${INCREMENTED}` ? 2 : 0;
      if (verdict.version === 0) verdict.wrong = `incr answered ${JSON.stringify(answer)}`;
      return verdict;
    }
    const value = this.#values[this.#key]!;
    const expected =
      this.#kind === 'set'
        ? 'STORED\r\n'
        : `VALUE key-${this.#connection}-${this.#key} 0 ${value.length}\r\n${value}\r\nEND\r\n`;
    if (answer !== expected) verdict.wrong = `${this.#kind} answered ${JSON.stringify(answer.slice(0, 80))}`;
    return verdict;
  }
}

export function memcachedProtocol(): Protocol {
  return { conversation: (connection) => new MemcachedConversation(connection) };
}
