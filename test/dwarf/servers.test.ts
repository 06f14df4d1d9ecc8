import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { innermostFrame } from '../../src/dwarf/frame.js';
import { wordReader } from '../../src/dwarf/memory-window.js';
import type { RegisterName } from '../../src/dwarf/registers.js';
import { backtrace } from '../../src/dwarf/unwind.js';
import { compile, LiveMemory, ReadyProgram, RegisterSnapshot, sourceFile } from './live-program.js';

interface ThreadView {
  tid: number;
  registers: Record<RegisterName, string>;
  pcs: string[];
}

/** Whether there is a gdb that can run our script. */
const hasDebugger = /usable/.test(
  spawnSync('gdb', ['-nx', '-batch', '-ex', 'python print("usable")'], { encoding: 'utf8' }).stdout ?? '',
);
/** Under Yama an ordinary user's gdb may attach to its own descendants only. */
function mayAttach(): boolean {
  const scope = '/proc/sys/kernel/yama/ptrace_scope';
  return process.getuid!() === 0 || !existsSync(scope) || readFileSync(scope, 'latin1').trim() === '0';
}

const withoutDebugger = !hasDebugger
  ? 'gdb with Python is not installed: nothing to compare with'
  : mayAttach()
    ? false
    : 'gdb may not attach to other processes here (kernel.yama.ptrace_scope)';

/** What gdb sees of each thread. The process is stopped by a signal, so it stays as gdb leaves it. */
function askDebugger(pid: number): ThreadView[] {
  const { stdout, stderr } = spawnSync(
    'gdb',
    ['-nx', '-batch', '-p', `${pid}`, '-x', sourceFile('debugger.py')],
    { encoding: 'utf8', maxBuffer: 1 << 28 },
  );
  const threads = stdout
    .split('\n')
    .filter((line) => line.startsWith('THREAD '))
    .map((line) => JSON.parse(line.slice('THREAD '.length)) as ThreadView);
  assert.ok(threads.length > 0, stderr);
  return threads;
}

async function stopAllThreads(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    while (!/^State:\s+T/m.test(readFileSync(`/proc/${pid}/task/${tid}/status`, 'latin1'))) await delay(5);
  }
}

/**
 * Waits until the server has made its threads: one that is caught right behind the syscall of clone has no caller
 * yet, and glibc no unwinding information for it.
 */
async function allThreadsBorn(pid: number): Promise<void> {
  const CHECKS = 10;
  let threads = '';
  for (let unchanged = 0; unchanged < CHECKS; await delay(50)) {
    const now = readdirSync(`/proc/${pid}/task`).join(' ');
    unchanged = now === threads ? unchanged + 1 : 0;
    threads = now;
  }
}

/** Compares every thread's frames with gdb's; returns the number of threads. */
async function compareAllThreads(pid: number): Promise<number> {
  await allThreadsBorn(pid);
  await stopAllThreads(pid);
  const threads = askDebugger(pid);
  await stopAllThreads(pid);
  const memory = new LiveMemory(pid);
  try {
    for (const { tid, registers, pcs } of threads) {
      const values = Object.entries(registers).map(([name, value]) => [name, BigInt(`0x${value}`)] as const);
      const snapshot = new RegisterSnapshot(new Map(values as [RegisterName, bigint][]));
      const trace = backtrace(innermostFrame(snapshot), memory.find, wordReader(memory.read));
      const ours = trace.frames.map(({ pc }) => pc.toString(16));
      assert.deepEqual(trace.end, { kind: 'complete' }, `thread ${tid}: ${ours.join(' ')}`);
      assert.deepEqual(ours, pcs, `thread ${tid}`);
      assert.ok(ours.length >= 3, `thread ${tid} has only ${ours.length} frames`);
    }
  } finally {
    memory.close();
  }
  return threads.length;
}

interface Server {
  name: string;
  executable: string;
  leastThreads: number;
  args(folder: string, socket: string): string[];
  /** Run before the server itself, to create its data. */
  prepare?(folder: string): void;
}

const SERVERS: Server[] = [
  {
    name: 'memcached',
    executable: '/usr/bin/memcached',
    leastThreads: 4,
    args: (_, socket) => ['-u', 'root', '-t', '4', '-s', socket],
  },
  {
    name: 'redis',
    executable: '/usr/bin/redis-server',
    leastThreads: 4,
    args: (folder, socket) => ['--port', '0', '--unixsocket', socket, '--dir', folder, '--save', ''],
  },
  {
    name: 'mariadb',
    executable: '/usr/sbin/mariadbd',
    leastThreads: 6,
    prepare: (folder) => {
      const { status, stdout, stderr } = spawnSync(
        'mariadb-install-db',
        [
          '--no-defaults',
          `--datadir=${folder}/data`,
          '--user=root',
          '--auth-root-authentication-method=normal',
        ],
        { encoding: 'utf8' },
      );
      assert.equal(status, 0, stdout + stderr);
    },
    args: (folder, socket) => [
      '--no-defaults',
      '--user=root',
      `--datadir=${folder}/data`,
      `--socket=${socket}`,
      '--skip-networking',
      '--innodb-buffer-pool-size=8M',
    ],
  },
];

async function untilListening(socket: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const client = connect(socket);
    try {
      await once(client, 'connect');
      return;
    } catch (error) {
      if (attempt === 300) throw error;
      await delay(100);
    } finally {
      client.destroy();
    }
  }
}

for (const { name, executable, leastThreads, args, prepare } of SERVERS) {
  const skip = withoutDebugger || (existsSync(executable) ? false : `${executable} is not installed`);
  test(`${name}: every thread has the frames that gdb shows`, { skip }, async () => {
    const folder = mkdtempSync(join(tmpdir(), `atlas-${name}-`));
    chmodSync(folder, 0o755);
    prepare?.(folder);
    const socket = join(folder, 'socket');
    const server = spawn(executable, args(folder, socket), { stdio: 'ignore' });
    const ended = once(server, 'exit');
    try {
      await untilListening(socket);
      assert.ok((await compareAllThreads(server.pid!)) >= leastThreads);
    } finally {
      server.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

/* A process stopped in the middle of its work stands at any instruction: prologues, epilogues, PLT entries. */
for (const flags of [['-O2'], ['-O0', '-fno-omit-frame-pointer'], ['-Os', '-Wl,-z,lazy']]) {
  const title = `stopped anywhere in its work, built with ${flags.join(' ')}: the frames that gdb shows`;
  test(title, { skip: withoutDebugger }, async () => {
    const program = await ReadyProgram.start(compile('busy.c', flags), []);
    try {
      for (let round = 0; round < 12; round++) {
        await delay(3 + round);
        assert.equal(await compareAllThreads(program.pid), 2);
        process.kill(program.pid, 'SIGCONT');
      }
    } finally {
      await program.end();
    }
  });
}
