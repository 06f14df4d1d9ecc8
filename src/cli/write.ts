import { buildCommand } from '@stricli/core';
import { resolveProcess } from '../api/client.js';
import { AtlasError } from '../errors/atlas-error.js';
import { type CliContext, type CommonFlags, help, jsonFlag, present, processArgument } from './command.js';
import { type LocationFlags, location, locationFlags } from './location.js';
import { hexBytes } from './parse.js';

interface Flags extends CommonFlags, LocationFlags {
  readonly bytes?: string;
  readonly text?: string;
}

export const writeCommand = buildCommand<Flags, [string], CliContext>({
  docs: help(
    'Write bytes of text or read-only data of one generation\n\n' +
      'The other generations keep theirs: from then on the area diverges there.',
    [
      'atlas write memcached --generation 1 --symbol version_string --text 1.6.99',
      "atlas write memcached --generation 1 --address 0x55d0c8a01139 --bytes 'b8 2a 00 00 00 c3'",
    ],
  ),
  parameters: {
    flags: {
      json: jsonFlag,
      ...locationFlags,
      bytes: {
        kind: 'parsed',
        parse: hexBytes,
        brief: 'What: hexadecimal digits',
        placeholder: 'HEX',
        optional: true,
      },
      text: {
        kind: 'parsed',
        parse: String,
        brief: 'What: the UTF-8 bytes of a text, without a final NUL',
        placeholder: 'TEXT',
        optional: true,
      },
    },
    positional: { kind: 'tuple', parameters: [processArgument] },
  },
  func: present<Flags, [string]>(async (flags, reference) => {
    const where = location(flags);
    const bytes = content(flags);
    const { client, process } = await resolveProcess(reference);
    const { generation } = flags;
    const written = await client.request('write', { process, generation, ...where, bytes });
    return {
      document: written,
      text: `${written.length} bytes written at ${written.address} in generation ${generation}.\n`,
    };
  }),
});

function content(flags: Flags): string {
  if (flags.bytes !== undefined && flags.text === undefined) return flags.bytes;
  if (flags.text !== undefined && flags.text !== '' && flags.bytes === undefined) {
    return Buffer.from(flags.text, 'utf8').toString('hex');
  }
  throw new AtlasError('bad-usage', 'Exactly one of --bytes and --text is needed, and not an empty one.');
}
