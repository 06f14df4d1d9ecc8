import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LARGEST_TRANSFER, PARAMETERS, parseParameters } from '../../src/api/schema.js';
import { AtlasError } from '../../src/errors/atlas-error.js';
import type { OperationName, Parameters } from '../../src/supervisor/protocol.js';

/** For every operation one set of parameters with everything in it, and one with the necessary only. */
const ACCEPTED: { [N in OperationName]: Parameters<N>[] } = {
  ps: [{}],
  diagnose: [{}],
  threads: [{ process: 'memcached' }, { process: 'redis-server:4711' }, { process: '4711' }],
  areas: [{ process: 'a' }, { process: 'a', generation: 3 }],
  'generation.create': [{ process: 'a' }],
  'generation.list': [{ process: 'a' }],
  'generation.delete': [{ process: 'a', generation: 1 }],
  read: [
    { process: 'a', generation: 0, address: '0x7ffdeadbe000', length: 64 },
    { process: 'a', generation: 1, symbol: 'main', length: 1 },
    { process: 'a', generation: 1, symbol: 'process_get_command+0x1f', length: LARGEST_TRANSFER },
    { process: 'a', generation: 1, symbol: '_ZN3FooC2Ei+12', length: 1 },
  ],
  write: [
    { process: 'a', generation: 1, address: '0x1000', bytes: '90' },
    { process: 'a', generation: 1, symbol: 'greeting', bytes: '48656C6c6f' },
  ],
  migrate: [
    { process: 'a', to: 1 },
    { process: 'a', to: 0, threads: [4711, 4712], timeoutMilliseconds: 0 },
  ],
  settle: [{ process: 'a' }, { process: 'a', timeoutMilliseconds: 1500.5 }],
  'patch.apply': [
    { process: 'a', strategy: 'local', file: 'fix.atlas', content: 'f0VMRg==' },
    { process: 'a', strategy: 'global', file: 'fix.atlas', content: '', timeoutMilliseconds: 10 },
  ],
  'patch.status': [{ process: 'a' }],
};

const REJECTED: { [N in OperationName]?: [unknown, RegExp][] } = {
  ps: [
    [{ all: true }, /all/],
    [null, /ps/],
  ],
  threads: [
    [{}, /process/],
    [{ process: '' }, /process/],
    [{ process: '../x' }, /process/],
    [{ process: 7 }, /process/],
  ],
  areas: [
    [{ process: 'a', generation: -1 }, /generation/],
    [{ process: 'a', generation: '1' }, /generation/],
  ],
  'generation.delete': [[{ process: 'a' }, /generation/]],
  read: [
    [{ process: 'a', generation: 0, length: 4 }, /address and symbol/],
    [{ process: 'a', generation: 0, length: 4, address: '0x1', symbol: 'x' }, /address and symbol/],
    [{ process: 'a', generation: 0, length: 4, address: '4096' }, /hexadecimal/],
    [{ process: 'a', generation: 0, length: 4, address: '0x800000000000' }, /user space/],
    [{ process: 'a', generation: 0, length: 0, address: '0x1' }, /length/],
    [{ process: 'a', generation: 0, length: LARGEST_TRANSFER + 1, address: '0x1' }, /length/],
    [{ process: 'a', generation: 0.5, length: 1, address: '0x1' }, /generation/],
    [{ process: 'a', generation: 0, length: 1, symbol: 'main+' }, /OFFSET/],
    [{ process: 'a', generation: 0, length: 1, symbol: 'two words' }, /SYMBOL/],
  ],
  write: [
    [{ process: 'a', generation: 1, address: '0x1', bytes: '9' }, /even number/],
    [{ process: 'a', generation: 1, address: '0x1', bytes: '' }, /even number/],
    [{ process: 'a', generation: 1, address: '0x1', bytes: 'zz' }, /hexadecimal/],
  ],
  migrate: [
    [{ process: 'a', to: 1, threads: [] }, /threads/],
    [{ process: 'a', to: 1, threads: [0] }, /threads\.0/],
    [{ process: 'a', to: 1, timeoutMilliseconds: -1 }, /timeoutMilliseconds/],
  ],
  'patch.apply': [
    [{ process: 'a', strategy: 'canary', file: 'f', content: '' }, /strategy/],
    [{ process: 'a', strategy: 'local', file: 'f', content: 'not base64!' }, /base64/],
    [{ process: 'a', strategy: 'local', file: 'f', content: 'AAA' }, /base64/],
  ],
};

describe('schemas of the operations', () => {
  for (const operation of Object.keys(PARAMETERS) as OperationName[]) {
    it(`${operation}: what a client sends arrives unchanged`, () => {
      assert.ok(ACCEPTED[operation].length > 0);
      for (const parameters of ACCEPTED[operation]) {
        const received: unknown = JSON.parse(JSON.stringify(parameters));
        assert.deepEqual(parseParameters(operation, received), parameters);
      }
    });
    for (const [parameters, message] of REJECTED[operation] ?? []) {
      it(`${operation}: refuses ${JSON.stringify(parameters)}`, () => {
        assert.throws(
          () => parseParameters(operation, parameters),
          (error) => error instanceof AtlasError && error.kind === 'bad-usage' && message.test(error.message),
        );
      });
    }
  }

  it('accepts a patch of many megabytes', () => {
    const content = Buffer.alloc(24 * 1024 * 1024, 7).toString('base64');
    const parsed = parseParameters('patch.apply', { process: 'a', strategy: 'local', file: 'f', content });
    assert.equal(parsed.content.length, content.length);
  });
});
