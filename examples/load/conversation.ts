/** Which code computed an answer: 1 before the fix, 2 after it, 0 when the answer does not tell. */
export type CodeVersion = 0 | 1 | 2;

export interface Verdict {
  version: CodeVersion;
  /** Who answered: the server's thread, or, where answers do not name it, the connection that one thread serves. */
  thread: number;
  /** Grows with every answer of that thread. */
  turn: number;
  /** Why the answer is wrong. */
  wrong?: string;
}

/** One connection's side of a protocol: what to ask next, where an answer ends, and whether it is right. */
export interface Conversation {
  next(): string;
  /** The length of the complete answer that `text` starts with; 0 while there is more to come. */
  answerLength(text: string): number;
  check(answer: string): Verdict;
}

/** A protocol makes conversations, and has the last word on what all of them have done together. */
export interface Protocol {
  conversation(connection: number): Conversation;
  /** A request for after the load, and what is wrong with its answer. */
  closing?: { request: string; wrong(answer: string): string | undefined };
}
