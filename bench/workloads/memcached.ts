import { userInfo } from 'node:os';
import { mustRun } from '../../examples/build/command.js';
import { freePort } from '../../examples/load/load.js';
import { type Workload, missingCommands } from './workload.js';

export const memcachedWorkload: Workload = {
  name: 'memcached',
  pairs: 21,
  seconds: 1,
  missing: () => missingCommands(['memcached'], 'memcached'),
  async prepare(context, underAtlas) {
    const port = String(await freePort());
    const load = await context.program('memcached-load');
    const user = userInfo().uid === 0 ? ['-u', 'nobody'] : [];
    const server = await context.start(
      ['memcached', '-l', '127.0.0.1', '-p', port, '-U', '0', '-t', '4', ...user],
      Number(port),
      underAtlas,
    );
    return {
      server,
      run: async (seconds) => ({ 'get/set': Number(await mustRun([load, port, String(seconds), '32'])) }),
    };
  },
};
