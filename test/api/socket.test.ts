import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { AtlasClient, AtlasError, listProcesses, listRuns, resolveProcess } from '../../src/api/client.js';
import { openRuntimeDirectory, runtimeDirectoryPath } from '../../src/api/runtime-directory.js';
import { publishSocket } from '../../src/api/socket-file.js';
import { serveAnswers, temporaryRuntimeDirectory } from './fixtures.js';

const failsWith = (kind: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof AtlasError, String(error));
  assert.equal(error.kind, kind);
  assert.match(error.message, message);
  return true;
};

describe('runtime directory', () => {
  let directory: ReturnType<typeof temporaryRuntimeDirectory>;
  before(() => {
    directory = temporaryRuntimeDirectory();
  });
  after(() => directory.remove());

  it('is named by ATLAS_RUNTIME_DIR, then XDG_RUNTIME_DIR', () => {
    assert.equal(runtimeDirectoryPath({ ATLAS_RUNTIME_DIR: '/a', XDG_RUNTIME_DIR: '/x' }), '/a');
    assert.equal(runtimeDirectoryPath({ XDG_RUNTIME_DIR: '/x' }), '/x/atlas');
    assert.match(runtimeDirectoryPath({}, 4242), /^\/(run\/user\/4242\/atlas|tmp\/atlas-4242)$/);
  });

  it('is created for its owner only', () => {
    const created = path.join(directory.path, 'new');
    openRuntimeDirectory(created);
    assert.equal(fs.statSync(created).mode & 0o777, 0o700);
  });

  it('is refused when others can reach it', () => {
    const open = path.join(directory.path, 'open');
    fs.mkdirSync(open);
    fs.chmodSync(open, 0o750);
    assert.throws(() => openRuntimeDirectory(open), failsWith('refused', /open to others \(mode 0750\)/));
  });

  it('is refused when it is a symbolic link, even to a good directory', () => {
    const link = path.join(directory.path, 'link');
    fs.symlinkSync(openRuntimeDirectory(path.join(directory.path, 'good')).path, link);
    assert.throws(() => openRuntimeDirectory(link), failsWith('refused', /not a directory/));
  });

  it('is refused when it belongs to somebody else', {
    skip: process.geteuid!() !== 0 && 'needs root',
  }, () => {
    const foreign = path.join(directory.path, 'foreign');
    fs.mkdirSync(foreign, { mode: 0o700 });
    fs.chownSync(foreign, 65534, 65534);
    assert.throws(() => openRuntimeDirectory(foreign), failsWith('refused', /belongs to user 65534/));
  });

  it('says which parent is missing', () => {
    assert.throws(
      () => openRuntimeDirectory(path.join(directory.path, 'no', 'such')),
      failsWith('refused', /ENOENT/),
    );
  });
});

describe('control socket', () => {
  let directory: ReturnType<typeof temporaryRuntimeDirectory>;
  before(() => {
    directory = temporaryRuntimeDirectory();
  });
  after(() => directory.remove());

  it('can be opened by its owner only, and leaves nothing when it closes', async () => {
    const { server } = await serveAnswers(directory.path, 'mode', {});
    const status = fs.lstatSync(path.join(directory.path, 'mode.sock'));
    assert.ok(status.isSocket());
    assert.equal(status.mode & 0o777, 0o600);
    assert.deepEqual(fs.readdirSync(directory.path), ['mode.sock']);
    await server.close();
    assert.deepEqual(fs.readdirSync(directory.path), []);
  });

  it('carries parameters and results', async () => {
    const { server, asked } = await serveAnswers(directory.path, 'echo', {
      'generation.create': () => ({ generation: 7, microseconds: 812.5 }),
    });
    const client = await AtlasClient.connect('echo');
    assert.equal(client.info.name, 'echo');
    assert.deepEqual(await client.request('generation.create', { process: 'echo' }), {
      generation: 7,
      microseconds: 812.5,
    });
    assert.deepEqual(asked, [['generation.create', { process: 'echo' }]]);
    await server.close();
  });

  it('carries failures with kind, message and advice', async () => {
    const { server } = await serveAnswers(directory.path, 'fails', {
      threads: () => {
        throw new AtlasError('no-such-process', 'gone', 'look again');
      },
      areas: () => {
        throw new TypeError('a defect');
      },
    });
    const client = await AtlasClient.connect('fails');
    await assert.rejects(client.request('threads', { process: 'fails' }), {
      kind: 'no-such-process',
      message: 'gone',
      advice: 'look again',
    });
    await assert.rejects(client.request('areas', { process: 'fails' }), failsWith('internal', /a defect/));
    await assert.rejects(
      client.request('generation.list', { process: 'fails' }),
      failsWith('refused', /not answered/),
    );
    await server.close();
  });

  it('checks what arrives before the tracing thread sees it', async () => {
    const { server, asked } = await serveAnswers(directory.path, 'checks', {});
    const post = (operation: string, body: string) =>
      new Promise<[number, string]>((resolve, reject) => {
        const request = http.request(
          { socketPath: server.socket, method: 'POST', path: `/v1/${operation}` },
          (response) => {
            let text = '';
            response.setEncoding('utf8').on('data', (chunk: string) => {
              text += chunk;
            });
            response.on('end', () => resolve([response.statusCode!, text]));
          },
        );
        request.on('error', reject);
        request.end(body);
      });
    for (const [operation, body] of [
      ['threads', '{"process":1}'],
      ['threads', '{'],
      ['toString', '{}'],
      ['nothing', '{}'],
    ] as const) {
      const [status, text] = await post(operation, body);
      assert.equal(status, 400);
      const { error } = JSON.parse(text) as { error: { kind: string; message: string } };
      assert.equal(error.kind, 'bad-usage');
      assert.notEqual(error.message, '');
    }
    assert.deepEqual(asked, []);
    await server.close();
  });

  it('belongs to one live run at a time', async () => {
    const { server } = await serveAnswers(directory.path, 'twice', {});
    await assert.rejects(
      serveAnswers(directory.path, 'twice', {}),
      failsWith('bad-usage', /"twice" is alive/),
    );
    assert.deepEqual(fs.readdirSync(directory.path), ['twice.sock']);
    await server.close();
    const again = await serveAnswers(directory.path, 'twice', {});
    await again.server.close();
  });

  it('goes to exactly one of many runs that want the name at once, over a dead socket', async () => {
    await leaveDeadSocket(path.join(directory.path, 'race.sock'));
    const servers = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const server = http.createServer();
        return {
          server,
          published: await publishSocket(server, openRuntimeDirectory(directory.path), 'race'),
        };
      }),
    );
    const winners = servers.filter(({ published }) => published !== undefined);
    assert.equal(winners.length, 1);
    for (const { server } of servers) server.close();
    winners[0]!.published!.remove();
    assert.deepEqual(fs.readdirSync(directory.path), []);
  });

  it('is removed by listing when its supervisor was killed', async () => {
    const { server } = await serveAnswers(directory.path, 'alive', {});
    await leaveDeadSocket(path.join(directory.path, 'dead.sock'));
    await leaveDeadSocket(path.join(directory.path, 'dead-2.sock'));
    assert.deepEqual(await listRuns(), [{ name: 'alive', socket: server.socket }]);
    assert.deepEqual(fs.readdirSync(directory.path), ['alive.sock']);
    await server.close();
  });

  it('works however long the path of its directory is', async () => {
    const former = process.env.ATLAS_RUNTIME_DIR;
    process.env.ATLAS_RUNTIME_DIR = path.join(directory.path, 'd'.repeat(200));
    const { server } = await serveAnswers(process.env.ATLAS_RUNTIME_DIR, 'n'.repeat(64), {});
    assert.equal((await AtlasClient.connect('n'.repeat(64))).info.pid, 4711);
    await server.close();
    process.env.ATLAS_RUNTIME_DIR = former;
    await assert.rejects(AtlasClient.connect('n'.repeat(65)), failsWith('bad-usage', /cannot be the name/));
  });
});

describe('events', () => {
  it('are replayed from a bounded past, then followed', async () => {
    const directory = temporaryRuntimeDirectory();
    const { server, run } = await serveAnswers(directory.path, 'events', {});
    for (let at = 1; at <= 6; at++) run.events.append({ at, event: 'past' });
    const client = await AtlasClient.connect('events');
    const seen: number[] = [];
    for await (const event of client.events()) {
      seen.push(event.at);
      if (event.at === 6) run.events.append({ at: 7, event: 'now', text: 'line\nbreak' });
      if (event.at === 7) {
        assert.equal(event.text, 'line\nbreak');
        break;
      }
    }
    assert.deepEqual(seen, [3, 4, 5, 6, 7]);
    const resumed = client.events({ since: 6 });
    assert.equal((await resumed.next()).value?.at, 7);
    // The stream ends by itself when the run does.
    const end = resumed.next();
    await server.close();
    assert.deepEqual(await end, { done: true, value: undefined });
    directory.remove();
  });
});

describe('process references', () => {
  it('find a run, a member of a run, or the run that has a pid', async () => {
    const directory = temporaryRuntimeDirectory();
    const process = (name: string, pid: number) => ({
      name,
      pid,
      command: name,
      threads: 1,
      generations: [0],
    });
    const one = await serveAnswers(directory.path, 'one', {
      ps: () => ({ processes: [process('one', 100)] }),
    });
    const two = await serveAnswers(directory.path, 'two', {
      ps: () => ({ processes: [process('two', 200), process('two:201', 201)] }),
    });
    const found = async (reference: string) => {
      const { client, process: ref } = await resolveProcess(reference);
      return [client.info.name, ref];
    };
    assert.deepEqual(await found('one'), ['one', 'one']);
    assert.deepEqual(await found('two:201'), ['two', '201']);
    assert.deepEqual(await found('201'), ['two', '201']);
    await assert.rejects(resolveProcess('300'), failsWith('no-such-process', /300/));
    await assert.rejects(resolveProcess('three'), failsWith('no-such-process', /"three"/));
    await assert.rejects(resolveProcess('a/b'), failsWith('bad-usage', /a\/b/));
    const { processes, silent } = await listProcesses();
    assert.deepEqual(processes.map((entry) => entry.pid).sort(), [100, 200, 201]);
    assert.deepEqual(silent, []);
    await one.server.close();
    await two.server.close();
    directory.remove();
  });

  it('leave out a run that does not answer', async () => {
    const directory = temporaryRuntimeDirectory();
    const { server } = await serveAnswers(directory.path, 'stuck', { ps: () => new Promise(() => {}) });
    const { processes, silent } = await listProcesses(200);
    assert.deepEqual(processes, []);
    assert.deepEqual(silent, [{ name: 'stuck', socket: server.socket }]);
    await server.close();
    directory.remove();
  });
});

/** Leaves what a killed supervisor leaves: a socket file to which nobody listens. */
async function leaveDeadSocket(file: string): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(file)}, () => console.log('ready'))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.ok(fs.lstatSync(file).isSocket());
}
