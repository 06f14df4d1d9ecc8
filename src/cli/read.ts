import { buildCommand } from '@stricli/core';
import { resolveProcess } from '../api/client.js';
import { type CliContext, type CommonFlags, help, jsonFlag, present, processArgument } from './command.js';
import { type LocationFlags, location, locationFlags } from './location.js';
import { hexDump } from './output/hex-dump.js';
import { byteCount } from './parse.js';

interface Flags extends CommonFlags, LocationFlags {
  readonly length: number;
}

export const readCommand = buildCommand<Flags, [string], CliContext>({
  docs: help('Read memory as one generation sees it', [
    'atlas read memcached --generation 0 --symbol process_command',
    'atlas read memcached --generation 1 --address 0x55d0c8a01139 --length 16',
    'atlas read memcached --generation 1 --symbol version_string+4 --length 8 --json',
  ]),
  parameters: {
    flags: {
      json: jsonFlag,
      ...locationFlags,
      length: {
        kind: 'parsed',
        parse: byteCount,
        brief: 'How many bytes',
        placeholder: 'BYTES',
        default: '64',
      },
    },
    positional: { kind: 'tuple', parameters: [processArgument] },
  },
  func: present<Flags, [string]>(async (flags, reference) => {
    const where = location(flags);
    const { client, process } = await resolveProcess(reference);
    const { generation, length } = flags;
    const found = await client.request('read', { process, generation, ...where, length });
    return { document: found, text: hexDump(Number(found.address), Buffer.from(found.bytes, 'hex')) };
  }),
});
