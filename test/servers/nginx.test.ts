import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, waitForPort } from '../harness/ports.js';
import { missing } from '../harness/programs.js';
import { type Scope, scoped } from '../harness/scope.js';

const skip = await missing('nginx');

async function configure(scope: Scope, port: number, daemon: boolean): Promise<string[]> {
  const { folder } = scope;
  await mkdir(join(folder, 'www'));
  await writeFile(join(folder, 'www/index.html'), 'hello from nginx\n');
  await writeFile(join(folder, 'www/large'), Buffer.alloc(3_000_000, 'nginx '));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
    .join(' ');
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon ${daemon ? 'on' : 'off'}; worker_processes 2; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
     ${process.getuid!() === 0 ? 'user root;' : ''}
     events { worker_connections 200; }
     http { access_log off; ${temporary} sendfile on; gzip on; gzip_types application/octet-stream; gzip_min_length 1000;
            server { listen 127.0.0.1:${port}; root ${folder}/www; } }\n`,
  );
  return ['nginx', '-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')];
}

async function fetchAll(port: number): Promise<void> {
  const expected = Buffer.alloc(3_000_000, 'nginx ').toString();
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let i = 0; i < 10; i++) {
        const response = await fetch(`http://127.0.0.1:${port}/`);
        assert.equal(await response.text(), 'hello from nginx\n');
      }
      const large = await fetch(`http://127.0.0.1:${port}/large`);
      assert.ok((await large.text()) === expected, 'the large file arrives unharmed');
    }),
  );
}

scoped('nginx serves, reloads and ends', { seconds: 60, skip }, async (scope) => {
  const port = await freePort();
  const server = await scope.server('atlas', await configure(scope, port, false), port);
  await fetchAll(port);
  const master = Number(await readFile(join(scope.folder, 'nginx.pid'), 'utf8'));
  process.kill(master, 'SIGHUP');
  await sleep(500);
  await fetchAll(port);
  process.kill(master, 'SIGQUIT');
  assert.equal(await server.ended, 0);
  assert.doesNotMatch(await readFile(join(scope.folder, 'error.log'), 'utf8'), /\[(alert|emerg|crit)\]/);
});

scoped('nginx as a daemon serves on after its parent ended', { seconds: 60, skip }, async (scope) => {
  const port = await freePort();
  const server = await scope.atlas(await configure(scope, port, true));
  await waitForPort(port, () => false);
  await fetchAll(port);
  process.kill(Number(await readFile(join(scope.folder, 'nginx.pid'), 'utf8')), 'SIGQUIT');
  assert.equal(await server.ended, 0);
  await scope.nothingIsLeft();
});
