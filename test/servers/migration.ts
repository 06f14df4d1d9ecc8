import assert from 'node:assert/strict';
import type { Scope } from '../harness/scope.js';

/** Creates a generation, moves every thread there and back, and accounts for each of them, every time. */
export async function thereAndBack(scope: Scope, name: string, times: number): Promise<void> {
  const client = await scope.client(name);
  for (let round = 0; round < times; round++) {
    const { generation } = await client.request('generation.create', { process: name });
    for (const to of [generation, 0]) {
      const { moved, pending } = await client.request('migrate', {
        process: name,
        to,
        timeoutMilliseconds: 10_000,
      });
      assert.deepEqual(pending, [], `round ${round}: all threads reach generation ${to}`);
      const { threads } = await client.request('threads', { process: name });
      assert.deepEqual(
        threads.filter((thread) => thread.generation !== to),
        [],
        `round ${round}: every thread says that it is in generation ${to}`,
      );
      const known = new Set(moved.map(({ tid }) => tid));
      const unaccounted = threads.filter(({ tid }) => !known.has(tid));
      // Threads that were born during the migration were born into their creator's generation.
      assert.ok(unaccounted.length <= threads.length / 2, `moved: ${known.size} of ${threads.length}`);
    }
    await client.request('generation.delete', { process: name, generation });
  }
}
