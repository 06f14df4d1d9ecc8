import http from 'node:http';
import { AtlasError } from '../errors/atlas-error.js';

/** One request over a Unix socket; resolves when the head of the answer is there. */
export function send(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  options: { body?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      {
        socketPath,
        method,
        path,
        agent: false,
        headers: {
          ...options.headers,
          ...(options.body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(options.body) }),
        },
        ...(options.signal ? { signal: options.signal } : {}),
      },
      resolve,
    );
    request.on('error', (error: NodeJS.ErrnoException) => reject(translate(error, socketPath)));
    request.end(options.body);
  });
}

/** The whole body of an answer as text. */
export async function text(response: http.IncomingMessage, socketPath: string): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch (error) {
    throw translate(error as NodeJS.ErrnoException, socketPath);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function translate(error: NodeJS.ErrnoException, socketPath: string): AtlasError {
  const advice = '`atlas ps` lists the runs that are alive.';
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new AtlasError('no-such-process', `No supervisor answers at ${socketPath}.`, advice, {
        cause: error,
      });
    case 'ECONNRESET':
    case 'EPIPE':
      return new AtlasError(
        'no-such-process',
        `The supervisor at ${socketPath} ended before it answered.`,
        advice,
        {
          cause: error,
        },
      );
    case 'EACCES':
    case 'EPERM':
      return new AtlasError(
        'refused',
        `The control socket ${socketPath} belongs to another user.`,
        'Only the user who started a run can control it.',
        { cause: error },
      );
    case 'ABORT_ERR':
      return new AtlasError(
        'not-finished',
        `The supervisor at ${socketPath} did not answer in time.`,
        'It may be stopped (state T in ps) or very busy.',
        { cause: error },
      );
    default:
      return AtlasError.from(error);
  }
}
