/** `atlas run` with real programs: what it adds to a program's life, and what it must not change. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileC } from '../harness/compile.js';
import { ATLAS, PROJECT } from '../harness/paths.js';
import { type Scope, scoped } from '../harness/scope.js';

interface Started {
  name: string;
  pid: number;
  socket: string;
  log: string;
}

async function until(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`in vain: ${what}`);
    await sleep(20);
  }
}

async function detach(scope: Scope, options: readonly string[], argv: readonly string[]): Promise<Started> {
  const { status, stdout, stderr } = await scope.cli([
    'run',
    '--detach',
    '--json',
    ...options,
    '--',
    ...argv,
  ]);
  assert.equal(status, 0, stdout + stderr);
  return JSON.parse(stdout) as Started;
}

const shell = (scope: Scope, script: string) => scope.native(['bash', '-c', script]);

scoped(
  'a command that cannot be executed gives 126 or 127, as in a shell',
  { seconds: 30 },
  async (scope) => {
    const text = join(scope.folder, 'text');
    await writeFile(text, 'no program');
    for (const [command, status] of [
      ['no-such-command-anywhere', 127],
      [join(scope.folder, 'absent'), 127],
      [text, 126],
      [scope.folder, 126],
    ] as const) {
      const foreground = await scope.cli(['run', '--', command]);
      assert.equal(foreground.status, status, command);
      assert.match(foreground.stderr, /^atlas: /);
      const detached = await scope.cli(['run', '--detach', '--json', '--', command]);
      assert.equal(detached.status, status, command);
      assert.equal((JSON.parse(detached.stdout) as { error: { kind: string } }).error.kind, 'bad-input');
    }
    await chmod(text, 0o755);
    assert.equal(
      (await scope.cli(['run', '--', text])).status,
      (await scope.runNative(['sh', '-c', text])).status,
    );
  },
);

scoped('a detached program is named, logged, controlled and ended', { seconds: 60 }, async (scope) => {
  const script =
    'echo to stdout; echo to stderr >&2; cat; trap "echo bye; exit 0" TERM; while :; do sleep 0.1; done';
  const started = await detach(scope, [], ['bash', '-c', script]);
  assert.equal(started.name, 'bash');
  assert.equal(started.socket, join(scope.runtimeFolder, 'bash.sock'));
  const output = () => readFile(started.log, 'utf8');
  await until('its output', async () => (await output()).includes('stderr'));
  assert.equal(await output(), 'to stdout\nto stderr\n');

  const second = await detach(scope, ['--log', 'own.log'], ['bash', '-c', script]);
  assert.deepEqual([second.name, second.log], ['bash-2', join(scope.folder, 'own.log')]);
  const taken = await scope.cli(['run', '--name', 'bash', '--json', '--', 'true']);
  assert.equal(taken.status, 2);
  assert.match(taken.stdout, /"bash\\" is alive/);

  const { processes } = await scope.json<{ processes: { name: string; pid: number }[] }>(['ps']);
  for (const run of [started, second])
    assert.ok(processes.some(({ name, pid }) => name === run.name && pid === run.pid));
  const byPid = await scope.json<{ threads: { tid: number }[] }>(['threads', String(second.pid)]);
  assert.deepEqual(
    byPid.threads.map((thread) => thread.tid),
    [second.pid],
  );

  for (const { name, pid } of [started, second]) {
    const { info } = await scope.client(name);
    assert.equal(info.pid, pid);
    process.kill(info.supervisorPid, 'SIGTERM');
  }
  await scope.nothingIsLeft();
  assert.equal(await output(), 'to stdout\nto stderr\nbye\n');
  assert.deepEqual(await scope.json(['ps']), { processes: [] });
});

scoped(
  'the front ends with the root process, the supervisor with its daemons',
  { seconds: 60 },
  async (scope) => {
    const front = await scope.atlas(['bash', '-c', 'sleep 60 & echo $!; exit 9'], { name: 'daemons' });
    assert.equal(await front.ended, 9);
    const daemon = Number(await front.stdout());
    const { processes } = await scope.json<{ processes: { pid: number }[] }>(['ps']);
    assert.deepEqual(
      processes.map(({ pid }) => pid),
      [daemon],
    );
    // The root process has ended: what is sent to the supervisor goes to those that live.
    process.kill((await scope.client('daemons')).info.supervisorPid, 'SIGTERM');
    await scope.nothingIsLeft();
  },
);

scoped('output ends when the program closes it, not when Atlas ends', { seconds: 60 }, async (scope) => {
  const atlas = `${process.execPath} ${ATLAS} run --`;
  // A daemon that closes its streams must not keep a command substitution waiting.
  const substitution = await shell(
    scope,
    `echo "<$(${atlas} sh -c 'sleep 30 </dev/null >/dev/null 2>&1 & echo $!')>"`,
  );
  await until('the substitution', () => !substitution.running);
  const [, daemon] = /^<(\d+)>\n$/.exec(await substitution.stdout())!;
  process.kill(Number(daemon), 'SIGKILL');
  const closed = await shell(scope, `${atlas} sh -c 'echo $$; exec >&-; exec sleep 30' | { cat; echo end; }`);
  await until('the end of the pipe', async () => (await closed.stdout()).includes('end'));
  process.kill(Number.parseInt(await closed.stdout(), 10), 'SIGKILL');
});

scoped(
  'what a program gets from its parent is what it would get natively',
  { seconds: 60 },
  async (scope) => {
    const script = `
    ulimit -Sn; ulimit -Hn; umask; pwd
    cat /proc/self/fd/3; cat /proc/self/fd/63
    for fd in /proc/self/fd/*; do
      target=$(readlink $fd); case $target in pipe:*) target=pipe;; *memfd:atlas*) continue;; /proc/*) continue;; esac
      [ \${fd##*/} -gt 2 ] && echo \${fd##*/} $target
    done
    grep -E '^(SigBlk|SigIgn|SigCgt):' /proc/$PPID/status; true`;
    await writeFile(join(scope.folder, 'script'), script);
    await writeFile(join(scope.folder, 'three'), 'three\n');
    const run = (prefix: string) =>
      shell(
        scope,
        `ulimit -Sn 333; umask 027; ${prefix} bash -c 'bash ./script; true' 3<three 63< <(echo 63); true`,
      );
    const native = await (await run('')).outcome();
    const atlas = await (await run(`${process.execPath} ${ATLAS} run --`)).outcome();
    assert.match(native.stdout, /^333\n/);
    assert.equal(atlas.stderr, native.stderr);
    assert.equal(atlas.stdout, native.stdout);
  },
);

scoped(
  'signals, limits and descriptors are as the caller left them, nohup included',
  { seconds: 60 },
  async (scope) => {
    const program = await compileC(join(PROJECT, 'test/cli/attributes.c'));
    const tool = join(PROJECT, 'bin/atlas');
    const native = await scope.runNative([program, 'give', program, 'show']);
    const atlas = await scope.runNative([program, 'give', tool, 'run', '--', program, 'show']);
    assert.match(native.stdout, /^open files 555\n1: 100000\n.*^SigIgn:\t(?!0+$)/ms);
    assert.deepEqual(atlas, native);

    const detached = [tool, 'run', '--detach', '--log', 'log', '--', program, 'show'];
    assert.equal((await scope.runNative([program, 'give', ...detached])).status, 0);
    const masks = (text: string) => text.replace(/^[^S].*\n/gm, '');
    const log = () => readFile(join(scope.folder, 'log'), 'utf8');
    await until('its output', async () => (await log()).includes('SigCgt'));
    assert.equal(masks(await log()), masks(native.stdout));

    // By its other name it is a shell script: what a shell keeps, nohup above all, is kept.
    const script = 'trap "" HUP; exec "$0" run -- grep SigIgn /proc/self/status';
    const { stdout } = await scope.runNative(['sh', '-c', script, ATLAS]);
    assert.equal(stdout, 'SigIgn:\t0000000000000001\n');
  },
);

scoped("Atlas leaves a shared pipe's file status flags alone", { seconds: 30 }, async (scope) => {
  const child = spawn(
    process.execPath,
    [ATLAS, 'run', '--', 'sh', '-c', 'cat; grep flags /proc/self/fdinfo/1'],
    {
      env: scope.environment,
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  child.stdin.end('in\n');
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await once(child, 'close');
  const [, flags] = /^in\nflags:\s*0*([0-7]+)\n$/.exec(output)!;
  const O_NONBLOCK = 0o4000;
  assert.equal(Number.parseInt(flags!, 8) & O_NONBLOCK, 0);
});

scoped('a signal to the process group reaches the program once', { seconds: 60 }, async (scope) => {
  const script = 'trap "echo usr1" USR1; trap "exit 0" USR2; echo ready; while :; do sleep 0.05; done';
  // A group of its own, as a shell with job control gives to every job.
  const child = spawn(process.execPath, [ATLAS, 'run', '--', 'bash', '-c', script], {
    env: scope.environment,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const count = () => output.split('usr1').length - 1;
  await until('the program', () => output.includes('ready'));
  await sleep(300);
  process.kill(-child.pid!, 'SIGUSR1');
  await until('the signal', () => count() > 0);
  await sleep(600);
  assert.equal(count(), 1, 'to the group');
  child.kill('SIGUSR1');
  await until('the signal', () => count() > 1);
  await sleep(600);
  assert.equal(count(), 2, 'to the front alone');
  child.kill('SIGUSR2');
  const [status] = (await once(child, 'close')) as [number];
  assert.equal(status, 0);
});

scoped('events are written one per line', { seconds: 30 }, async (scope) => {
  const file = join(scope.folder, 'events.jsonl');
  assert.equal((await scope.cli(['run', '--events', file, '--', 'true'])).status, 0);
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n').filter(Boolean);
  for (const line of lines) {
    const event = JSON.parse(line) as { at: number; event: string };
    assert.equal(typeof event.at, 'number');
    assert.equal(typeof event.event, 'string');
  }
});
