import type { CodeVersion, Conversation, Protocol, Verdict } from './conversation.js';

const STATEMENT_LINES = 40;

/** The price of `examples/server/quote.c`, as it should be in either version. */
export function linePrice(version: CodeVersion, units: number, cents: number, permille: number): number {
  const dividend = units * cents * (1000 - permille);
  const quotient = Math.floor(dividend / 1000);
  if (version === 1) return quotient;
  const twice = (dividend % 1000) * 2;
  return twice > 1000 || (twice === 1000 && quotient % 2 !== 0) ? quotient + 1 : quotient;
}

export function statementTotal(version: CodeVersion, lines: number): number {
  let total = 0;
  for (let line = 1; line <= lines; line++)
    total += linePrice(version, (line % 7) + 1, (line * 37) % 10000, (line * 13) % 500);
  return total;
}

const VERSION_OF_RULE = new Map<string, CodeVersion>([
  ['truncated', 1],
  ['rounded', 2],
]);

/** What all connections together have been told: it must agree with itself and with the server's ledger. */
class Books {
  /** One byte for each serial; grows by doubling. */
  #taken = new Uint8Array(1 << 16);
  orders = 0;
  cents = 0;

  /** False: another answer already had this serial, so two threads updated the same counter at once. */
  take(serial: number): boolean {
    while (serial >= this.#taken.length) {
      const larger = new Uint8Array(this.#taken.length * 2);
      larger.set(this.#taken);
      this.#taken = larger;
    }
    const isFirst = this.#taken[serial] === 0;
    this.#taken[serial] = 1;
    return isFirst;
  }
}

type Kind = 'quote' | 'order' | 'statement';

class QuoteConversation implements Conversation {
  readonly #books: Books;
  readonly #slow: boolean;
  #count: number;
  #kind: Kind = 'quote';
  #units = 0;
  #cents = 0;
  #permille = 0;

  constructor(books: Books, connection: number, slow: boolean) {
    this.#books = books;
    this.#slow = slow;
    this.#count = connection * 7919;
  }

  next(): string {
    const count = this.#count++;
    if (this.#slow) {
      this.#kind = 'statement';
      return `statement ${STATEMENT_LINES}\n`;
    }
    this.#kind = count % 3 === 0 ? 'order' : 'quote';
    this.#units = (count % 9) + 1;
    this.#cents = ((count * 7) % 4999) + 1;
    this.#permille = (count * 13) % 400;
    return `${this.#kind} ${this.#units} ${this.#cents} ${this.#permille}\n`;
  }

  answerLength(text: string): number {
    return text.indexOf('\n') + 1;
  }

  check(answer: string): Verdict {
    const [total, rule, tid, turn, serial] = answer.trimEnd().split(' ');
    const version = VERSION_OF_RULE.get(rule ?? '') ?? 0;
    const verdict: Verdict = { version, thread: Number(tid), turn: Number(turn) };
    const expected =
      this.#kind === 'statement'
        ? statementTotal(version, STATEMENT_LINES)
        : linePrice(version, this.#units, this.#cents, this.#permille);
    if (version === 0 || ![verdict.thread, verdict.turn, Number(serial)].every(Number.isInteger))
      verdict.wrong = `no answer at all: ${JSON.stringify(answer)}`;
    else if (Number(total) !== expected) verdict.wrong = `${total} is not ${expected} ${rule}`;
    else if (!this.#books.take(Number(serial))) verdict.wrong = `the serial ${serial} came twice`;
    if (this.#kind === 'order') {
      this.#books.orders++;
      this.#books.cents += Number(total);
    }
    return verdict;
  }
}

/** The first `slow` connections ask for statements, one after the other; the others for prices. */
export function quoteProtocol(slow: number): Protocol {
  const books = new Books();
  return {
    conversation: (connection) => new QuoteConversation(books, connection, connection < slow),
    closing: {
      request: 'ledger\n',
      wrong: (answer) => {
        const expected = `ledger ${books.orders} ${books.cents}\n`;
        return answer === expected
          ? undefined
          : `${answer.trimEnd()}, but ${expected.trimEnd()} was answered`;
      },
    },
  };
}
