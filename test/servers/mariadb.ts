/** A MariaDB server with a data directory of its own, started natively or under Atlas, and its clients. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../harness/ports.js';
import type { Scope } from '../harness/scope.js';
import type { Outcome, Started } from '../harness/started.js';

const asRoot = process.getuid!() === 0 ? ['--user=root'] : [];

let template: Promise<string> | undefined;

/** Installing takes seconds: it is done once per test file, and copied. */
async function install(scope: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'atlas-mariadb-'));
  const { status, stdout, stderr } = await scope.runNative([
    'mariadb-install-db',
    '--no-defaults',
    ...asRoot,
    `--datadir=${folder}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
  ]);
  assert.equal(status, 0, stdout + stderr);
  return folder;
}

export async function removeTemplate(): Promise<void> {
  if (template !== undefined) await rm(await template, { recursive: true });
}

export class MariaDb {
  readonly data: string;
  readonly socket: string;

  private constructor(
    readonly scope: Scope,
    readonly port: number,
  ) {
    this.data = join(scope.folder, 'data');
    this.socket = join(scope.folder, 'socket');
  }

  static async prepare(scope: Scope): Promise<MariaDb> {
    template ??= install(scope);
    const database = new MariaDb(scope, await freePort());
    await cp(await template, database.data, { recursive: true });
    return database;
  }

  start(under: 'native' | 'atlas', name = 'mariadb'): Promise<Started> {
    const argv = [
      'mariadbd',
      '--no-defaults',
      ...asRoot,
      `--datadir=${this.data}`,
      `--socket=${this.socket}`,
      `--port=${this.port}`,
      '--bind-address=127.0.0.1',
      `--pid-file=${this.data}/pid`,
      '--innodb-buffer-pool-size=64M',
      '--innodb-flush-log-at-trx-commit=1',
    ];
    return this.scope.server(under, argv, this.port, { name });
  }

  get pidFile(): string {
    return join(this.data, 'pid');
  }

  client(program: string): string[] {
    return [program, '--no-defaults', `--socket=${this.socket}`, '--user=root'];
  }

  async query(sql: string): Promise<string> {
    const { status, stdout, stderr } = await this.scope.runNative([
      ...this.client('mariadb'),
      '-N',
      '-e',
      sql,
    ]);
    assert.equal(status, 0, stderr);
    return stdout.trim();
  }

  async check(): Promise<void> {
    const { status, stdout, stderr } = await this.scope.runNative([
      ...this.client('mysqlcheck'),
      '--all-databases',
      '--extended',
    ]);
    assert.equal(status, 0, stderr);
    const bad = stdout.split('\n').filter((line) => line !== '' && !/\sOK$/.test(line));
    assert.deepEqual(bad, []);
  }

  async stop(server: Started): Promise<void> {
    await this.query('SHUTDOWN');
    assert.equal(await server.ended, 0, await server.stderr());
  }

  #sysbench(...words: string[]): string[] {
    const connection = [
      '--db-driver=mysql',
      `--mysql-socket=${this.socket}`,
      '--mysql-user=root',
      '--mysql-db=sbtest',
    ];
    return [
      'sysbench',
      'oltp_read_write',
      ...connection,
      '--tables=2',
      '--table-size=3000',
      '--threads=8',
      ...words,
    ];
  }

  async prepareSysbench(): Promise<void> {
    await this.query('CREATE DATABASE sbtest');
    const { status, stdout } = await this.scope.runNative(this.#sysbench('prepare'));
    assert.equal(status, 0, stdout);
  }

  /** Transactions of eight clients, for some seconds. */
  startSysbench(seconds: number): Promise<Started> {
    return this.scope.native(this.#sysbench(`--time=${seconds}`, 'run'));
  }
}

export function assertNoClientError({ status, stdout, stderr }: Outcome): void {
  assert.equal(status, 0, stdout + stderr);
  // Its "ignored errors" are deadlocks, which eight clients on few rows have natively, too.
  assert.match(stdout, /reconnects:\s+0 /);
  assert.doesNotMatch(stdout + stderr, /FATAL|ERROR/);
}
