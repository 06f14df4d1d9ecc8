/** What ends, is killed or is refused in the middle of an operation ends as it would natively, and is told as that. */
import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AtlasError, type ProcessInfo } from '../../src/api/client.js';
import { kill } from '../harness/proc.js';
import { ordinaryUser } from '../harness/ordinary-user.js';
import { missing } from '../harness/programs.js';
import { type Scope, scoped } from '../harness/scope.js';
import { Builds } from '../rollout/builds.js';
import { answerOf, Subject } from './subject.js';

const skip = await missing('gcc');

scoped('a program that executes itself over and over', { seconds: 20 }, async (scope) => {
  const program = await Subject.start(scope, 'executes.c');
  await program.watch(async () => {
    for (let round = 0; round < 15; round++) {
      const to = await answerOf(program.request('generation.create', {}));
      if (to !== undefined)
        await answerOf(program.request('migrate', { ...{ to: to.generation }, timeoutMilliseconds: 50 }));
      await answerOf(program.request('settle', { timeoutMilliseconds: 50 }));
    }
    await program.sign('steady');
    await program.says('steady');
    await program.moveAll(await program.create());
    const { settled } = await program.request('settle', {});
    assert.ok(settled);
  });
});

/** Some child of the program. */
async function child(program: Subject): Promise<ProcessInfo> {
  for (;;) {
    const { processes } = await program.client.request('ps', {});
    const found = processes.filter(({ pid, threads }) => pid !== program.pid && threads === 3);
    if (found.length > 0) return found[Math.floor(Math.random() * found.length)]!;
    await sleep(1);
  }
}

/** Nothing of ours is left of the processes that have ended. */
async function nobodyIsLeft(program: Subject): Promise<void> {
  for (;;) {
    const { lines } = await program.client.request('diagnose', {});
    const left = lines.filter((line) => /^(agent|stub|base-agent|unknown) /.test(line));
    if (left.length === 0) return;
    await sleep(20);
  }
}

scoped('processes that end while something is asked of them', { seconds: 20 }, async (scope) => {
  const program = await Subject.start(scope, 'lives.c', ['12']);
  await program.watch(async () => {
    for (let round = 0; round < 25; round++) {
      const { pid } = await child(program);
      const process = `${pid}`;
      const created = await answerOf(program.request('generation.create', {}, process));
      const to = created?.generation ?? 0;
      await Promise.all([
        answerOf(program.request('migrate', { to, timeoutMilliseconds: 200 }, process)),
        answerOf(program.request('threads', {}, process)),
        answerOf(program.request('areas', { generation: to }, process)),
        answerOf(program.request('read', { generation: to, symbol: 'main', length: 4 }, process)),
      ]);
      await answerOf(program.request('settle', { timeoutMilliseconds: 200 }, process));
    }
    await program.end();
  });
});

scoped('processes that are killed during a migration', { seconds: 20 }, async (scope) => {
  const program = await Subject.start(scope, 'lives.c', ['100000']);
  await program.watch(async () => {
    for (let round = 0; round < 25; round++) {
      const { pid } = await child(program);
      const process = `${pid}`;
      const work = (async () => {
        const created = await answerOf(program.request('generation.create', {}, process));
        if (!created) return;
        const { generation: to } = created;
        await answerOf(program.request('migrate', { to, timeoutMilliseconds: 300 }, process));
        await answerOf(program.request('settle', { timeoutMilliseconds: 300 }, process));
      })();
      await sleep(round % 9);
      kill(pid);
      await work;
    }
    await nobodyIsLeft(program);
  });
});

scoped('a generation that nobody lives in loses its host process', { seconds: 25 }, async (scope) => {
  const program = await Subject.start(scope, 'maps.c');
  await program.watch(async () => {
    const kept = await program.create();
    const lost = await program.create();
    kill(await program.hostOf(lost));
    for (;;) {
      const { generations } = await program.request('generation.list', {});
      if (!generations.some(({ generation }) => generation === lost)) break;
      await sleep(5);
    }
    await assert.rejects(program.request('migrate', { to: lost }), { kind: 'bad-usage' });
    await program.moveAll(kept);
    const { settled } = await program.request('settle', {});
    assert.ok(settled);
    await program.moveAll(await program.create());
    await program.request('settle', {});
  });
});

/** The program `lingers.c`, and applying its patch. */
async function lingers(
  scope: Scope,
  args: readonly string[] = [],
): Promise<[Subject, () => Promise<boolean>]> {
  const builds = await Builds.make(scope.folder, '../ends/lingers.c');
  const file = await builds.patch(1, 2);
  const content = (await readFile(file)).toString('base64');
  const program = await Subject.run(scope, [builds.executable, join(scope.folder, 'end'), ...args]);
  const apply = async (): Promise<boolean> => {
    const answer = await program.request('patch.apply', { file, content, strategy: 'local' });
    return answer.settled;
  };
  return [program, apply];
}

scoped('the host process of a rollout is killed in the middle', { seconds: 20, skip }, async (scope) => {
  const [program, apply] = await lingers(scope);
  await program.watch(async () => {
    const rollout = answerOf(apply());
    kill(await program.hostOf(1));
    assert.equal(await rollout, undefined, 'it cannot have been applied');
    const { patches } = await program.request('patch.status', {});
    assert.deepEqual(patches, []);
    await program.moveAll(0);
    assert.ok(await apply());
  });
});

scoped(
  'a patch for which the limit of address space leaves no room',
  { seconds: 20, skip },
  async (scope) => {
    const [program, apply] = await lingers(scope, ['limit']);
    await program.watch(async () => {
      const error = await apply().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof AtlasError);
      assert.equal(error.kind, 'refused');
      assert.match(`${error.message} ${error.advice}`, /RLIMIT_AS/);
      await program.sign('lift');
      await program.says('lifted');
      assert.ok(await apply());
    });
  },
);

/** As that user the limit binds; the supervisor stays who it is. */
const limited = async (scope: Scope, what: 'births' | 'sleep'): Promise<Subject> => {
  const uid = (await ordinaryUser())?.uid ?? process.getuid!();
  return Subject.start(scope, 'limited.c', [`${uid}`, what]);
};

scoped('a birth in a generation at the limit of tasks', { seconds: 25 }, async (scope) => {
  const program = await limited(scope, 'births');
  await program.watch(async () => {
    await program.moveAll(await program.create());
    await program.sign('limit');
    await program.says('born');
    const { settled } = await program.request('settle', {});
    assert.ok(settled);
  });
});

scoped('sleeping threads are moved at the limit of tasks', { seconds: 25 }, async (scope) => {
  const program = await limited(scope, 'sleep');
  await program.watch(async () => {
    const to = await program.create();
    // The thread that sets the limit lives there: so it is the generation's, too.
    await program.request('migrate', { to, threads: [program.pid] });
    await program.sign('limit');
    await program.says('limited');
    const answer = await answerOf(program.request('migrate', { to, timeoutMilliseconds: 200 }));
    if (answer) assert.notDeepEqual(answer.pending, []);
    await sleep(60);
    await rm(join(scope.folder, 'end.limit'));
    await program.says('free');
    await program.moveAll(to);
    const { settled } = await program.request('settle', {});
    assert.ok(settled);
  });
});
