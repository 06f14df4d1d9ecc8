/** What a Node.js server does, in one program with the same output every time: run natively and under Atlas. */
import { execFileSync, fork, spawn } from 'node:child_process';
import { createHash, pbkdf2Sync, randomBytes, scrypt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { gzipSync, gunzipSync } from 'node:zlib';

function fibonacci(n: number): number {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

async function inWorkers(): Promise<void> {
  const shared = new SharedArrayBuffer(8);
  const counter = new Int32Array(shared);
  const results = await Promise.all(
    [20, 21, 22, 23].map(async (n) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { n, shared } });
      // Both at once: the end may be told in the same turn as the message.
      const [[result]] = (await Promise.all([once(worker, 'message'), once(worker, 'exit')])) as [
        [number],
        unknown,
      ];
      return result;
    }),
  );
  console.log('workers', results.join(' '), 'counted', counter[0]);
}

function work({ n, shared }: { n: number; shared: SharedArrayBuffer }): void {
  for (let i = 0; i < 10_000; i++) Atomics.add(new Int32Array(shared), 0, 1);
  parentPort!.postMessage(fibonacci(n));
}

async function cryptography(): Promise<void> {
  const key = pbkdf2Sync('secret', 'salt', 2000, 32, 'sha256').toString('hex');
  const derive = promisify(scrypt) as (password: string, salt: string, length: number) => Promise<Buffer>;
  const keys = await Promise.all(
    ['a', 'b', 'c', 'd', 'e', 'f'].map((password) => derive(password, 'salt', 16)),
  );
  console.log(
    'crypto',
    key,
    createHash('sha1').update(Buffer.concat(keys)).digest('hex'),
    randomBytes(9).length,
  );
}

function allocation(): void {
  const kept: unknown[] = [];
  let sum = 0;
  for (let i = 0; i < 300_000; i++) {
    const item = { i, text: `item ${i}`, list: [i, i + 1] };
    if (i % 100 === 0) kept.push(item);
    sum += item.list[1]!;
  }
  const large = Buffer.alloc(30_000_000, 'large ');
  const unzipped = gunzipSync(gzipSync(large, { level: 1 }));
  console.log('allocation', kept.length, sum, unzipped.equals(large));
}

async function children(): Promise<void> {
  console.log(
    'exec',
    execFileSync('sh', ['-c', 'echo from a child; echo err >&2'], { encoding: 'utf8', stdio: 'pipe' }),
  );
  const cat = spawn('cat');
  cat.stdin.end('through cat\n');
  const chunks: Buffer[] = [];
  cat.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const [code] = await once(cat, 'close');
  console.log('spawn', Buffer.concat(chunks).toString().trim(), code);
  const sleeper = spawn('sleep', ['100']);
  sleeper.kill('SIGTERM');
  console.log('killed', (await once(sleeper, 'exit')).join(' '));
  const child = fork(new URL(import.meta.url).pathname, ['child']);
  child.send({ n: 15 });
  const [answer] = await once(child, 'message');
  console.log('fork', JSON.stringify(answer), (await once(child, 'exit')).join(' '));
}

async function overHttp(): Promise<void> {
  const server = createServer((request, response) => {
    response.end(`you asked for ${request.url}`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const answers = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const [response] = await once(get(`http://127.0.0.1:${port}/${i}`, { agent: false }), 'response');
      let text = '';
      for await (const chunk of response) text += chunk;
      return text;
    }),
  );
  server.close();
  await once(server, 'close');
  console.log('http', createHash('sha1').update(answers.join()).digest('hex'));
}

async function timers(): Promise<void> {
  const order: number[] = [];
  await Promise.all([30, 10, 20].map((ms) => sleep(ms).then(() => order.push(ms))));
  process.once('SIGUSR2', () => console.log('signal handled'));
  process.kill(process.pid, 'SIGUSR2');
  await sleep(50);
  console.log('timers', order.join(' '));
}

if (!isMainThread) {
  work(workerData as { n: number; shared: SharedArrayBuffer });
} else if (process.argv[2] === 'child') {
  process.once('message', ({ n }: { n: number }) => {
    process.send!({ fibonacci: fibonacci(n) }, () => process.exit(7));
  });
} else {
  await inWorkers();
  await cryptography();
  allocation();
  await children();
  await overHttp();
  await timers();
  console.log('fibonacci', fibonacci(27));
  process.exitCode = 5;
}
