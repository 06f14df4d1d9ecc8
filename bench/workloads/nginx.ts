import { writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { AtlasError } from '../../src/errors/atlas-error.js';
import { mustRun } from '../../examples/build/command.js';
import { freePort } from '../../examples/load/load.js';
import { type Workload, missingCommands } from './workload.js';

function configuration(folder: string, port: string): string {
  return `
${userInfo().uid === 0 ? 'user root;' : ''}
daemon off;
worker_processes 2;
pid ${folder}/pid;
error_log ${folder}/error.log;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path ${folder};
  proxy_temp_path ${folder};
  fastcgi_temp_path ${folder};
  uwsgi_temp_path ${folder};
  scgi_temp_path ${folder};
  server { listen 127.0.0.1:${port}; root ${folder}; }
}
`;
}

export const nginxWorkload: Workload = {
  name: 'nginx',
  pairs: 21,
  seconds: 1,
  missing: () => missingCommands(['nginx', 'wrk'], 'nginx wrk'),
  async prepare(context, underAtlas) {
    const port = String(await freePort());
    const folder = await context.subfolder(`nginx-${underAtlas}`);
    const file = join(folder, 'nginx.conf');
    await writeFile(file, configuration(folder, port));
    await writeFile(join(folder, 'index.html'), 'x'.repeat(1000));
    const command = ['nginx', '-p', folder, '-c', file, '-e', join(folder, 'error.log')];
    const server = await context.start(command, Number(port), underAtlas);
    return {
      server,
      async run(seconds) {
        // wrk takes whole seconds.
        const length = `${Math.max(1, Math.round(seconds))}s`;
        const report = await mustRun([
          'wrk',
          '-t',
          '1',
          '-c',
          '32',
          '-d',
          length,
          `http://127.0.0.1:${port}/index.html`,
        ]);
        const perSecond = Number(/^Requests\/sec:\s+([0-9.]+)/m.exec(report)?.[1]);
        if (Number.isNaN(perSecond) || /Non-2xx|Socket errors/.test(report))
          throw new AtlasError('internal', `wrk saw errors:\n${report}`);
        return { get: perSecond };
      },
    };
  },
};
