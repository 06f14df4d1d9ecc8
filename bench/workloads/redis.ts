import { AtlasError } from '../../src/errors/atlas-error.js';
import { mustRun } from '../../examples/build/command.js';
import { freePort } from '../../examples/load/load.js';
import { type Workload, missingCommands } from './workload.js';

/** About what redis-benchmark reaches with 50 clients on a small machine: a sample's length follows from it. */
const REQUESTS_PER_SECOND = 50_000;

/** `"SET","31250.00",…` of `redis-benchmark --csv`. */
function requestsPerSecond(csv: string, test: string): number {
  const value = Number(new RegExp(`^"${test}","([0-9.]+)"`, 'm').exec(csv)?.[1]);
  if (Number.isNaN(value))
    throw new AtlasError('internal', `redis-benchmark did not report ${test}:\n${csv}`);
  return value;
}

export const redisWorkload: Workload = {
  name: 'redis',
  pairs: 21,
  seconds: 1,
  missing: () => missingCommands(['redis-server', 'redis-benchmark'], 'redis-server redis-tools'),
  async prepare(context, underAtlas) {
    const port = String(await freePort());
    const folder = await context.subfolder(`redis-${underAtlas}`);
    const server = await context.start(
      [
        'redis-server',
        '--port',
        port,
        '--bind',
        '127.0.0.1',
        '--dir',
        folder,
        '--save',
        '',
        '--io-threads',
        '2',
      ],
      Number(port),
      underAtlas,
    );
    return {
      server,
      async run(seconds) {
        const requests = String(Math.round((REQUESTS_PER_SECOND * seconds) / 2));
        const csv = await mustRun([
          'redis-benchmark',
          '-h',
          '127.0.0.1',
          '-p',
          port,
          '-c',
          '50',
          '-n',
          requests,
          '-t',
          'set,get',
          '--csv',
        ]);
        return { set: requestsPerSecond(csv, 'SET'), get: requestsPerSecond(csv, 'GET') };
      },
    };
  },
};
