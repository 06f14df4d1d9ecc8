/** What others may do to the runtime directory and its sockets, and what Atlas then does not do. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { AtlasClient, AtlasError } from '../../src/api/client.js';
import { ConnectionLimit } from '../../src/api/connection-limit.js';
import { chooseRuntimeDirectory, openRuntimeDirectory } from '../../src/api/runtime-directory.js';
import { EAGAIN } from '../../src/linux/errno.js';
import { connectTo, listenAt } from '../../src/linux/unix-socket.js';
import { publishSocket } from '../../src/api/socket-file.js';
import { temporaryRuntimeDirectory } from './fixtures.js';

const OTHER = 65534;
const needsRoot = process.geteuid!() !== 0 && 'needs root';

const failsWith =
  (kind: string, message: RegExp, advice = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof AtlasError, String(error));
    assert.equal(error.kind, kind);
    assert.match(error.message, message);
    assert.match(error.advice, advice);
    return true;
  };

let directory: ReturnType<typeof temporaryRuntimeDirectory>;
before(() => {
  directory = temporaryRuntimeDirectory();
});
after(() => directory.remove());

/** A folder with that mode and owner, and a path below it. */
function below(name: string, mode: number, owner = process.geteuid!()): string {
  const parent = path.join(directory.path, name);
  fs.mkdirSync(parent);
  fs.chownSync(parent, owner, -1);
  fs.chmodSync(parent, mode);
  return path.join(parent, 'atlas');
}

describe('the parents of the runtime directory', () => {
  it('may not be open to others', () => {
    for (const mode of [0o770, 0o707]) {
      const inside = below(`open-${mode}`, mode);
      assert.throws(
        () => openRuntimeDirectory(inside),
        failsWith('refused', /open-\d+ can be changed by others/),
      );
      assert.ok(!fs.existsSync(inside));
    }
  });

  it('may be open to others when these cannot exchange what is there', () => {
    openRuntimeDirectory(below('sticky', 0o1777))[Symbol.dispose]();
  });

  it('may not belong to another user, and root is told how to control that user’s runs', {
    skip: needsRoot,
  }, () => {
    const inside = below('foreign', 0o700, OTHER);
    assert.throws(
      () => openRuntimeDirectory(inside),
      failsWith('refused', /foreign belongs to user 65534/, /runuser -u "\$\(id -nu 65534\)" -- atlas/),
    );
    assert.ok(!fs.existsSync(inside));
  });

  it('may be behind a symbolic link, unless another user made it', { skip: needsRoot }, () => {
    const target = path.dirname(below('target', 0o700));
    const link = path.join(directory.path, 'way');
    fs.symlinkSync('target', link);
    using opened = openRuntimeDirectory(path.join(link, 'atlas'));
    assert.equal(fs.realpathSync(opened.at('.')), path.join(target, 'atlas'));
    fs.lchownSync(link, OTHER, OTHER);
    assert.throws(
      () => openRuntimeDirectory(path.join(link, 'atlas')),
      failsWith('refused', /way belongs to user 65534/),
    );
  });

  it('are passed once: what takes the place of the directory afterwards is not used', async () => {
    const place = below('exchanged', 0o700);
    using opened = openRuntimeDirectory(place);
    fs.renameSync(place, `${place}-away`);
    const elsewhere = below('elsewhere', 0o700);
    fs.mkdirSync(elsewhere);
    fs.symlinkSync(elsewhere, place);
    const server = http.createServer();
    const published = await publishSocket(server, opened, 'held');
    assert.deepEqual(fs.readdirSync(`${place}-away`), ['held.sock']);
    assert.deepEqual(fs.readdirSync(elsewhere), []);
    published!.remove();
    server.close();
    assert.deepEqual(fs.readdirSync(`${place}-away`), []);
  });
});

describe('an XDG_RUNTIME_DIR that was inherited from another user', () => {
  it('is not used, and that is said', { skip: needsRoot }, () => {
    const session = path.dirname(below('session', 0o700, OTHER));
    const { path: chosen, note } = chooseRuntimeDirectory({ XDG_RUNTIME_DIR: session });
    assert.match(chosen, /^\/run\/(user\/0\/)?atlas$/);
    assert.match(note!, /session, which belongs to user 65534: .*runuser -u "\$\(id -nu 65534\)" -- atlas/);
    assert.equal(chooseRuntimeDirectory({ XDG_RUNTIME_DIR: directory.path }).note, undefined);
  });

  it('is not used by a user to whom root’s was left', { skip: needsRoot }, () => {
    const { path: chosen, note } = chooseRuntimeDirectory({ XDG_RUNTIME_DIR: directory.path }, 4242);
    assert.equal(chosen, '/tmp/atlas-4242');
    assert.match(note!, /belongs to user 0/);
  });
});

describe('a client', () => {
  it('sends nothing to another user’s server', { skip: needsRoot }, async () => {
    const socket = path.join(directory.path, 'foreign.sock');
    fs.chmodSync(directory.path, 0o777);
    const script = `require('net').createServer((c) => c.on('data', (d) => console.log('got ' + d)))
      .listen(${JSON.stringify(socket)}, () => console.log('ready'))`;
    const child: ChildProcess = spawn(process.execPath, ['-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
      uid: OTHER,
      gid: OTHER,
      cwd: '/',
    });
    let output = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    try {
      await once(child.stdout!, 'data');
      fs.chmodSync(directory.path, 0o700);
      await assert.rejects(
        AtlasClient.connect('foreign'),
        failsWith('refused', /a process of user 65534 listens/),
      );
    } finally {
      child.kill('SIGTERM');
      await once(child, 'close');
      fs.rmSync(socket, { force: true });
    }
    assert.equal(output, 'ready\n');
  });

  it('that meets the socket of a killed run removes it', async () => {
    const script = `require('net').createServer().listen(${JSON.stringify(path.join(directory.path, 'dead.sock'))}, () => process.kill(process.pid, 'SIGKILL'))`;
    await once(spawn(process.execPath, ['-e', script], { stdio: 'inherit' }), 'exit');
    assert.ok(fs.existsSync(path.join(directory.path, 'dead.sock')));
    await assert.rejects(AtlasClient.connect('dead'), failsWith('no-such-process', /"dead"/));
    assert.ok(!fs.existsSync(path.join(directory.path, 'dead.sock')));
  });

  it('waits when too many wait to be accepted', async () => {
    using opened = openRuntimeDirectory(directory.path);
    const listening = listenAt(opened.at('full.sock'));
    const waiting: number[] = [];
    for (let next = 0; next >= 0; waiting.push(next)) next = connectTo(opened.at('full.sock'));
    assert.equal(waiting.pop(), -EAGAIN);
    const connecting = AtlasClient.connect('full');
    const server = http.createServer((_, response) => response.end('{"pid":1}'));
    await new Promise<void>((resolve) => setImmediate(() => server.listen({ fd: listening }, resolve)));
    assert.equal((await connecting).info.pid, 1);
    for (const descriptor of waiting) fs.closeSync(descriptor);
    fs.rmSync(opened.at('full.sock'));
    server.close();
  });
});

describe('slow clients', () => {
  it('go when there are too many: those that talk, then followers, never one that is served', async () => {
    const limit = new ConnectionLimit(4);
    const server = http.createServer((request) =>
      limit.works(request.socket, request.url === '/follows' ? 'follows' : 'is served'),
    );
    limit.watch(server);
    using opened = openRuntimeDirectory(directory.path);
    const published = await publishSocket(server, opened, 'slow');
    const gone: string[] = [];
    const clients: net.Socket[] = [];
    const come = async (name: string, request?: string) => {
      const arrived = once(server, request === undefined ? 'connection' : 'request');
      const socket = net.connect(opened.at('slow.sock'));
      clients.push(socket);
      const closed = new Promise((resolve) => socket.once('close', resolve)).then(() => gone.push(name));
      socket.on('error', () => {});
      if (request !== undefined) socket.write(`GET ${request} HTTP/1.1\r\nHost: x\r\n\r\n`);
      // One that is turned away makes no request.
      await Promise.race([arrived, closed]);
      return { closed };
    };
    const talker = await come('talker');
    const follower = await come('follower', '/follows');
    await come('served 1', '/served');
    await come('served 2', '/served');
    assert.deepEqual(gone, []);
    await come('served 3', '/served');
    await talker.closed;
    await come('served 4', '/served');
    await follower.closed;
    await come('served 5', '/served');
    assert.deepEqual(gone, ['talker', 'follower', 'served 5']);
    published!.remove();
    for (const client of clients) client.destroy();
    server.close();
  });
});
