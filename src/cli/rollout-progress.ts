import tty from 'node:tty';
import type { AtlasClient } from '../api/client.js';
import { stderr } from './output/streams.js';

const FIRST_REPORT_MILLISECONDS = 1000;

/** Waits for a rollout; for a person who watches a terminal, says once a second which threads it waits for. */
export async function whileReportingProgress<T>(
  client: AtlasClient,
  process: string,
  rollout: Promise<T>,
): Promise<T> {
  if (!tty.isatty(2)) return rollout;
  const started = Date.now();
  let shown = false;
  const timer = setInterval(async () => {
    const line = await waitingThreads(client, process).catch(() => '');
    shown = true;
    stderr.write(`\r\x1b[Katlas: rolling out, ${((Date.now() - started) / 1000).toFixed(0)} s${line}`);
  }, FIRST_REPORT_MILLISECONDS);
  try {
    return await rollout;
  } finally {
    clearInterval(timer);
    if (shown) stderr.write('\r\x1b[K');
  }
}

async function waitingThreads(client: AtlasClient, process: string): Promise<string> {
  const { threads } = await client.request('threads', { process });
  const newest = Math.max(...threads.map((thread) => thread.generation));
  const waiting = threads.filter((thread) => thread.generation !== newest);
  if (waiting.length === 0) return '';
  const some = waiting.slice(0, 4).map((thread) => `${thread.tid} (${thread.name})`);
  return `; waiting for ${some.join(', ')}${waiting.length > 4 ? `, and ${waiting.length - 4} more` : ''}`;
}
