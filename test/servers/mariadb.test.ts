import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { missing } from '../harness/programs.js';
import { scoped } from '../harness/scope.js';
import { MariaDb, assertNoClientError, removeTemplate } from './mariadb.js';
import { thereAndBack } from './migration.js';

const skip = await missing('mariadbd', 'mariadb', 'mariadb-install-db', 'mysqlcheck', 'sysbench');

after(removeTemplate);

scoped(
  'MariaDB: read-write transactions, a check of all tables, a native start on the same data',
  { seconds: 150, skip },
  async (scope) => {
    const database = await MariaDb.prepare(scope);
    let server = await database.start('atlas');
    await database.prepareSysbench();
    assertNoClientError(await (await database.startSysbench(5)).outcome());
    await database.check();
    const sums = await database.query('CHECKSUM TABLE sbtest.sbtest1, sbtest.sbtest2');
    await database.stop(server);
    server = await database.start('native');
    await database.check();
    assert.equal(await database.query('CHECKSUM TABLE sbtest.sbtest1, sbtest.sbtest2'), sums);
    await database.stop(server);
  },
);

scoped(
  'MariaDB under load: 20 generations, all threads there and back',
  { seconds: 180, skip },
  async (scope) => {
    const database = await MariaDb.prepare(scope);
    const server = await database.start('atlas');
    await database.prepareSysbench();
    const load = await database.startSysbench(15);
    await sleep(1000);
    await thereAndBack(scope, 'mariadb', 20);
    const outcome = await load.outcome();
    assertNoClientError(outcome);
    await database.check();
    await database.stop(server);
  },
);

const casualties: ['the server' | 'the supervisor', (database: MariaDb) => Promise<void>][] = [
  [
    'the server',
    async (database) => {
      process.kill(Number(await readFile(database.pidFile, 'utf8')), 'SIGKILL');
    },
  ],
  [
    'the supervisor',
    async ({ scope }) => {
      process.kill(await scope.supervisor(), 'SIGKILL');
    },
  ],
];

for (const [who, kill] of casualties) {
  scoped(
    `MariaDB: no committed transaction is missing after kill -9 of ${who}`,
    { seconds: 150, skip },
    async (scope) => {
      const database = await MariaDb.prepare(scope);
      let server = await database.start('atlas');
      await database.prepareSysbench();
      await database.query(
        'CREATE TABLE sbtest.log (number INT PRIMARY KEY, text VARCHAR(200)) ENGINE=InnoDB',
      );
      const load = await database.startSysbench(60);
      // The client sends one statement after the other: it prints a number when that number's commit came back.
      const statements = join(scope.folder, 'statements.sql');
      const text = 'x'.repeat(150);
      const lines = Array.from(
        { length: 100_000 },
        (_, i) => `INSERT INTO log VALUES (${i}, '${text}'); SELECT ${i};\n`,
      );
      await writeFile(statements, lines.join(''));
      const client = [...database.client('mariadb'), '--unbuffered', '-N', 'sbtest'];
      const writer = await scope.native(client, { input: statements });
      await sleep(2500);
      await kill(database);
      await Promise.all([server.ended, writer.ended, load.ended]);
      await scope.nothingIsLeft();
      const acknowledged = (await writer.stdout()).split('\n').filter(Boolean).map(Number);
      assert.ok(acknowledged.length > 20, `${acknowledged.length} acknowledged commits`);
      assert.ok(acknowledged.length < 100_000, 'the kill came in mid-load');
      server = await database.start('native');
      const present = new Set(
        (await database.query('SELECT number FROM sbtest.log')).split('\n').map(Number),
      );
      assert.deepEqual(
        acknowledged.filter((number) => !present.has(number)),
        [],
      );
      await database.check();
      await database.stop(server);
    },
  );
}
