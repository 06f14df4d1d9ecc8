import * as v from 'valibot';
import { AtlasError } from '../errors/atlas-error.js';
import type { OperationName, Parameters } from '../supervisor/protocol.js';

/** The most that one `read` or `write` may carry; larger pieces are read in turns. */
export const LARGEST_TRANSFER = 1024 * 1024;

const process = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9._:-]{1,80}$/, 'Expected the name of a run, NAME:PID, or a pid.'),
);
const generation = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const tid = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const timeoutMilliseconds = v.exactOptional(v.pipe(v.number(), v.minValue(0), v.maxValue(24 * 3600 * 1000)));
/** Below 2^47, where user space ends. */
const address = v.pipe(
  v.string(),
  v.regex(/^0x[0-9a-f]{1,12}$/i, 'Expected a hexadecimal address, such as 0x55d0c8a01139.'),
  v.check((text) => Number(text) < 2 ** 47, 'The address is outside of user space.'),
);
const symbol = v.pipe(
  v.string(),
  v.regex(
    /^[^\s+]{1,512}(\+(0x[0-9a-f]{1,12}|[0-9]{1,15}))?$/i,
    'Expected SYMBOL or SYMBOL+OFFSET; the offset is decimal, or hexadecimal with 0x.',
  ),
);
const bytes = v.pipe(
  v.string(),
  v.regex(/^([0-9a-f]{2})+$/i, 'Expected an even number of hexadecimal digits.'),
  v.maxLength(2 * LARGEST_TRANSFER, `At most ${LARGEST_TRANSFER} bytes at a time.`),
);
const oneOfAddressAndSymbol = <T extends { address?: string; symbol?: string }>() =>
  v.check<T, string>(
    (where) => (where.address === undefined) !== (where.symbol === undefined),
    'Exactly one of address and symbol is needed.',
  );
/** Not `v.base64()`: its pattern repeats a group, and overflows the matcher's stack on some megabytes. */
const base64 = v.pipe(
  v.string(),
  v.check((text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text), 'Expected base64.'),
);

/**
 * Every operation's parameters as they may arrive at the socket. Strict: an unknown name is more likely a
 * misspelt option than something to ignore.
 */
export const PARAMETERS = {
  ps: v.strictObject({}),
  threads: v.strictObject({ process }),
  areas: v.strictObject({ process, generation: v.exactOptional(generation) }),
  'generation.create': v.strictObject({ process }),
  'generation.list': v.strictObject({ process }),
  'generation.delete': v.strictObject({ process, generation }),
  read: v.pipe(
    v.strictObject({
      process,
      generation,
      address: v.exactOptional(address),
      symbol: v.exactOptional(symbol),
      length: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(LARGEST_TRANSFER)),
    }),
    oneOfAddressAndSymbol(),
  ),
  write: v.pipe(
    v.strictObject({
      process,
      generation,
      address: v.exactOptional(address),
      symbol: v.exactOptional(symbol),
      bytes,
    }),
    oneOfAddressAndSymbol(),
  ),
  migrate: v.strictObject({
    process,
    to: generation,
    threads: v.exactOptional(v.pipe(v.array(tid), v.minLength(1))),
    timeoutMilliseconds,
  }),
  settle: v.strictObject({ process, timeoutMilliseconds }),
  'patch.apply': v.strictObject({
    process,
    strategy: v.picklist(['local', 'global']),
    file: v.pipe(v.string(), v.maxLength(4096)),
    content: base64,
    timeoutMilliseconds,
  }),
  'patch.status': v.strictObject({ process }),
  diagnose: v.strictObject({}),
} satisfies { [N in OperationName]: v.GenericSchema<unknown, Parameters<N>> };

/** Fails to compile when a schema forgets a parameter that the operation has: `satisfies` does not see that. */
type WithoutParameters = 'ps' | 'diagnose';
type Forgotten = {
  [N in Exclude<OperationName, WithoutParameters>]: Exclude<
    keyof Parameters<N>,
    keyof v.InferOutput<(typeof PARAMETERS)[N]>
  >;
}[Exclude<OperationName, WithoutParameters>];
type MustBeNever<T extends never> = T;
export type ForgottenParameters = MustBeNever<Forgotten>;

export function isOperationName(name: string): name is OperationName {
  return Object.hasOwn(PARAMETERS, name);
}

/** The parameters, checked; `bad-usage` that names the first wrong one. */
export function parseParameters<N extends OperationName>(operation: N, value: unknown): Parameters<N> {
  const schema: v.GenericSchema<unknown, unknown> = PARAMETERS[operation];
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output as Parameters<N>;
  const issue = parsed.issues[0];
  const where = v.getDotPath(issue);
  throw new AtlasError(
    'bad-usage',
    `${operation}: ${where === null ? '' : `${where}: `}${issue.message}`,
    `See atlas ${operation.replace('.', ' ')} --help.`,
  );
}
