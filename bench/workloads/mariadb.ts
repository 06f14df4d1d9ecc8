import { userInfo } from 'node:os';
import { join } from 'node:path';
import { AtlasError } from '../../src/errors/atlas-error.js';
import { mustRun } from '../../examples/build/command.js';
import { freePort } from '../../examples/load/load.js';
import { type Workload, missingCommands } from './workload.js';

const TABLES = ['--tables=2', '--table-size=10000'];

function transactionsPerSecond(report: string): number {
  const value = Number(/transactions:\s+\d+\s+\(([0-9.]+) per sec/.exec(report)?.[1]);
  if (Number.isNaN(value))
    throw new AtlasError('internal', `sysbench did not report transactions:\n${report}`);
  return value;
}

export const mariadbWorkload: Workload = {
  name: 'mariadb',
  pairs: 11,
  seconds: 2,
  missing: () => missingCommands(['mariadbd', 'mariadb-install-db', 'sysbench'], 'mariadb-server sysbench'),
  async prepare(context, underAtlas) {
    const port = String(await freePort());
    const folder = await context.subfolder(`mariadb-${underAtlas}`);
    const data = join(folder, 'data');
    const socket = join(folder, 'socket');
    const user = `--user=${userInfo().username}`;
    await mustRun([
      'mariadb-install-db',
      '--no-defaults',
      `--datadir=${data}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
      user,
    ]);
    const server = await context.start(
      [
        'mariadbd',
        '--no-defaults',
        `--datadir=${data}`,
        `--socket=${socket}`,
        '--bind-address=127.0.0.1',
        `--port=${port}`,
        `--pid-file=${folder}/pid`,
        `--log-error=${folder}/error.log`,
        '--innodb-buffer-pool-size=256M',
        // A commit that waits for the disk measures the disk.
        '--innodb-flush-log-at-trx-commit=2',
        user,
      ],
      Number(port),
      underAtlas,
    );
    await mustRun([
      'mariadb',
      '--no-defaults',
      `--socket=${socket}`,
      '-u',
      'root',
      '-e',
      'CREATE DATABASE sbtest',
    ]);
    const sysbench = (script: string, seconds: number, verb: string): Promise<string> =>
      mustRun([
        'sysbench',
        script,
        '--db-driver=mysql',
        `--mysql-socket=${socket}`,
        '--mysql-user=root',
        '--threads=8',
        `--time=${Math.max(1, Math.round(seconds))}`,
        ...TABLES,
        verb,
      ]);
    await sysbench('oltp_read_write', 1, 'prepare');
    return {
      server,
      run: async (seconds) => ({
        'point select': transactionsPerSecond(await sysbench('oltp_point_select', seconds, 'run')),
        'read-write': transactionsPerSecond(await sysbench('oltp_read_write', seconds, 'run')),
      }),
    };
  },
};
