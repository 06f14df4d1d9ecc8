/** What happens to a thread while it lives elsewhere holds when it has moved on, or come home. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AtlasClient } from '../../src/api/client.js';
import { compileC } from '../harness/compile.js';
import { type Scope, scoped } from '../harness/scope.js';
import type { Started } from '../harness/started.js';
import { source } from './builds.js';

const NAME = 'orders';

class Orders {
  private constructor(
    readonly scope: Scope,
    readonly started: Started,
    readonly client: AtlasClient,
    readonly pid: number,
  ) {}

  static async start(scope: Scope): Promise<Orders> {
    const started = await scope.atlas([await compileC(source('orders.c')), scope.folder], { name: NAME });
    while (!(await started.stdout()).includes('ready\n')) {
      assert.ok(started.running, await started.stderr());
      await sleep(20);
    }
    const client = await scope.client(NAME);
    const { processes } = await client.request('ps', {});
    return new Orders(scope, started, client, processes[0]!.pid);
  }

  /** Returns when the program has said `answer`. */
  async order(name: string, answer: string): Promise<void> {
    await writeFile(join(this.scope.folder, name), '');
    await this.says(answer);
  }

  async says(answer: string): Promise<void> {
    while (!(await this.started.stdout()).includes(`${answer}\n`)) {
      assert.ok(this.started.running, `${await this.started.stdout()}${await this.started.stderr()}`);
      await sleep(5);
    }
  }

  /** Moves all threads to a generation of their own, in which the constant has another value. */
  async moveAway(constant: string): Promise<void> {
    const process = NAME;
    const { generation } = await this.client.request('generation.create', { process });
    const bytes = Buffer.from(constant).toString('hex');
    await this.client.request('write', { process, generation, symbol: 'constant', bytes });
    const { pending } = await this.client.request('migrate', { process, to: generation });
    assert.deepEqual(pending, []);
  }
}

scoped(
  'a handler that ends a sleep runs where its thread has been moved meanwhile',
  { seconds: 60 },
  async (scope) => {
    const program = await Orders.start(scope);
    await program.moveAway('b');
    await program.order('sleep', 'asleep');
    // From its last word to its sleep it takes a moment; in that moment the test would pass, too.
    await sleep(100);
    await program.moveAway('c');
    process.kill(program.pid, 'SIGUSR1');
    await program.says('the handler sees c');
    await program.says('awake, and sees c');
    program.started.kill('SIGTERM');
    await program.started.outcome();
  },
);

scoped(
  'memory that was locked in another generation keeps its data after settling',
  { seconds: 60 },
  async (scope) => {
    const program = await Orders.start(scope);
    await program.order('sleep', 'asleep');
    process.kill(program.pid, 'SIGUSR1');
    await program.moveAway('b');
    await program.order('lock', 'locked');
    const { settled } = await program.client.request('settle', { process: NAME });
    assert.ok(settled);
    await writeFile(join(scope.folder, 'advise'), '');
    const { status, stdout } = await program.started.outcome();
    assert.match(stdout, /advice 22 leaves 5\n$/);
    assert.equal(status, 0);
  },
);
