import { AtlasError } from '../errors/atlas-error.js';
import { address, generationId } from './parse.js';

/** Where to read or write: an address, or a symbol of the main executable. */
export interface LocationFlags {
  readonly generation: number;
  readonly address?: string;
  readonly symbol?: string;
}

export const locationFlags = {
  generation: {
    kind: 'parsed',
    parse: generationId,
    brief: 'The generation that is meant; 0 is the base',
    placeholder: 'G',
  },
  address: {
    kind: 'parsed',
    parse: address,
    brief: 'Where: a hexadecimal address',
    placeholder: 'ADDRESS',
    optional: true,
  },
  symbol: {
    kind: 'parsed',
    parse: String,
    brief: 'Where: a symbol of the main executable, with an offset if wanted',
    placeholder: 'SYMBOL[+OFFSET]',
    optional: true,
  },
} as const;

export function location(flags: LocationFlags): { address: string } | { symbol: string } {
  if (flags.address !== undefined && flags.symbol === undefined) return { address: flags.address };
  if (flags.symbol !== undefined && flags.address === undefined) return { symbol: flags.symbol };
  throw new AtlasError('bad-usage', 'Exactly one of --address and --symbol is needed.');
}
