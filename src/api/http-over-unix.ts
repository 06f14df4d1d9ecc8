import http from 'node:http';
import type { Socket } from 'node:net';
import { AtlasError } from '../errors/atlas-error.js';

/** One request over a connection of its own; resolves when the head of the answer is there. */
export function send(
  connection: Socket,
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  options: { body?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      {
        createConnection: () => connection,
        method,
        path,
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
  switch (error.code) {
    case 'ECONNRESET':
    case 'EPIPE':
      return new AtlasError(
        'no-such-process',
        `The supervisor at ${socketPath} ended before it answered.`,
        '`atlas ps` lists the runs that are alive.',
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
