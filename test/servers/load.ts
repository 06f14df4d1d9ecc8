/** Clients that keep a server busy and check every answer. */
import assert from 'node:assert/strict';
import { TextClient } from './text-client.js';

export interface Load {
  /** Requests answered so far. */
  readonly answered: number;
  /** Ends the load; rejects when any client saw a wrong answer or an error. */
  stop(): Promise<void>;
}

type Exchange = (client: TextClient, key: string, value: string) => Promise<void>;

async function load(port: number, connections: number, exchange: Exchange): Promise<Load> {
  const clients = await Promise.all(Array.from({ length: connections }, () => TextClient.connect(port)));
  let answered = 0;
  let stopping = false;
  const working = Promise.all(
    clients.map(async (client, index) => {
      for (let round = 0; !stopping; round++) {
        const length = 1 + ((round * 7919 + index * 104729) % 3000);
        await exchange(client, `key-${index}-${round % 50}`, `${index}:${round}:`.padEnd(length, 'v'));
        answered += 2;
      }
      client.close();
    }),
  );
  working.catch(() => {});
  return {
    get answered() {
      return answered;
    },
    async stop() {
      stopping = true;
      await working;
    },
  };
}

export function memcachedLoad(port: number, connections = 12): Promise<Load> {
  return load(port, connections, async (client, key, value) => {
    assert.equal(await client.ask(`set ${key} 0 0 ${value.length}\r\n${value}\r\n`, '\r\n'), 'STORED\r\n');
    const expected = `VALUE ${key} 0 ${value.length}\r\n${value}\r\nEND\r\n`;
    assert.equal(await client.ask(`get ${key}\r\n`, 'END\r\n'), expected);
  });
}

export function redisLoad(port: number, connections = 12): Promise<Load> {
  return load(port, connections, async (client, key, value) => {
    const set = `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n${value}\r\n`;
    assert.equal(await client.ask(set, '\r\n'), '+OK\r\n');
    const answer = `$${value.length}\r\n${value}\r\n`;
    assert.equal(
      await client.ask(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`, /^\$\d+\r\n[^\r]*\r\n/),
      answer,
    );
  });
}
