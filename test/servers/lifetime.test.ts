import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileProgram } from '../harness/compile.js';
import { ATLAS } from '../harness/paths.js';
import { processesOfTest } from '../harness/proc.js';
import { scoped } from '../harness/scope.js';

const ATTEMPTS = 12;
/** What `atlas run` exits with when Atlas itself failed. */
const ATLAS_FAILED = 125;

scoped('killing the supervisor at any moment ends the process tree', { seconds: 120 }, async (scope) => {
  const program = await compileProgram('restless_tree');
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const front = await scope.atlas([program]);
    const supervisor = await scope.supervisor();
    // The first attempts hit the launch, the later ones the tree at work.
    await sleep(attempt * 50 + Math.random() * 60);
    process.kill(supervisor, 'SIGKILL');
    assert.equal(await front.ended, ATLAS_FAILED);
    await scope.nothingIsLeft();
  }
});

scoped('killing the foreground command ends the process tree', { seconds: 60 }, async (scope) => {
  const program = await compileProgram('restless_tree');
  for (let attempt = 0; attempt < 4; attempt++) {
    const front = await scope.atlas([program]);
    await sleep(100 + attempt * 200);
    front.kill('SIGKILL');
    await front.ended;
    await scope.nothingIsLeft();
  }
});

scoped('killing the supervisor while threads are in another generation', { seconds: 60 }, async (scope) => {
  const program = await compileProgram('restless_tree');
  const front = await scope.atlas([program], { name: 'tree' });
  while (!(await front.stdout()).includes('restless')) await sleep(20);
  const client = await scope.client('tree');
  const { generation } = await client.request('generation.create', { process: 'tree' });
  await client.request('migrate', { process: 'tree', to: generation, timeoutMilliseconds: 5000 });
  process.kill(client.info.supervisorPid, 'SIGKILL');
  await front.ended;
  await scope.nothingIsLeft();
});

scoped('the supervisor ends with the last process of the tree', { seconds: 30 }, async (scope) => {
  const script = 'sleep 0.7 & (sleep 0.4; kill -KILL $BASHPID) & exit 3';
  const outcome = await scope.runAtlas(['bash', '-c', script]);
  assert.equal(outcome.status, 3);
  await scope.nothingIsLeft();
});

for (const [script, status] of [
  ['exit 0', 0],
  ['exit 77', 77],
  ['kill -TERM $$', 128 + 15],
  ['kill -SEGV $$', 128 + 11],
  ['kill -KILL $$', 128 + 9],
] as const) {
  scoped(`the exit status of "${script}"`, { seconds: 30 }, async (scope) => {
    assert.equal((await scope.runNative(['sh', '-c', script])).status, status);
    assert.deepEqual(await scope.runAtlas(['sh', '-c', script]), { status, stdout: '', stderr: '' });
  });
}

scoped('a signal to the supervisor reaches the program', { seconds: 30 }, async (scope) => {
  const script = 'trap "echo got it; exit 4" TERM; echo ready; while :; do sleep 0.05; done';
  const supervisor = await scope.atlas(['sh', '-c', script]);
  while (!(await supervisor.stdout()).includes('ready')) await sleep(20);
  supervisor.kill('SIGTERM');
  assert.deepEqual(await supervisor.outcome(), { status: 4, stdout: 'ready\ngot it\n', stderr: '' });
});

scoped('standard input passes through', { seconds: 30 }, async (scope) => {
  const input = process.execPath;
  const native = await scope.runNative(['md5sum'], { input });
  assert.deepEqual(await scope.runAtlas(['md5sum'], { input }), native);
  assert.equal((await processesOfTest(scope.id, scope.folder)).length, 0);
});

scoped('descriptors that the caller opened pass through', { seconds: 30 }, async (scope) => {
  const inner = 'for fd in 3 5 7 9 10 20 63; do read -r line <&$fd; echo "$fd $line"; done';
  const numbers = [3, 5, 7, 9, 10, 20, 63];
  for (const fd of numbers) await writeFile(join(scope.folder, `from-${fd}`), `from ${fd}\n`);
  const open = numbers.map((fd) => `${fd}<${scope.folder}/from-${fd}`).join(' ');
  const through = (command: string) => ['bash', '-c', `${command} bash -c '${inner}' ${open}`];
  const native = await scope.runNative(through(''));
  assert.match(native.stdout, /^3 from 3\n.*63 from 63\n$/s);
  const atlas = await scope.runNative(through(`${process.execPath} ${ATLAS} run --`));
  assert.deepEqual(atlas, native);
});
