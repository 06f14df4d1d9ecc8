import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { letGo } from '../harness/batch.js';
import type { Scope } from '../harness/scope.js';
import { sameAsNative } from './compare.js';
import { PROGRAMS } from './programs.js';

/** Programs are held before their `main`, moved to a generation of their own, and let go there. */
async function moveEachProgram(scope: Scope, signal: AbortSignal): Promise<void> {
  const seen = new Set<string>();
  const client = await connected(scope, signal);
  while (!signal.aborted) {
    for (const file of await readdir(scope.holdFolder)) {
      if (!file.endsWith('.held') || seen.has(file)) continue;
      seen.add(file);
      const pid = file.slice(0, -'.held'.length);
      const { generation } = await client.request('generation.create', { process: pid });
      const { pending } = await client.request('migrate', { process: pid, to: generation });
      if (pending.length > 0) throw new Error(`${pid} does not move: ${JSON.stringify(pending)}`);
      await letGo(scope.holdFolder, Number(pid));
    }
    await sleep(10);
  }
}

async function connected(scope: Scope, signal: AbortSignal): ReturnType<Scope['client']> {
  while (!signal.aborted && (await readdir(scope.holdFolder)).length === 0) await sleep(10);
  return scope.client('batch');
}

const KNOWN = {
  told_pid: 'compatibility.md, sendmsg and semop: the pid that others are told',
  signal_fd: 'limits.md, Generations and migration: signalfd',
  timers: 'limits.md, Generations and migration: CPU time',
  stop_is_seen: 'stubs are held after the stop is told',
  nested_sleep:
    'of two signals that are pending together, the second has to enter its handler before the first one runs',
  seccomp_mode: 'the filter of Atlas is told as the program’s own',
  queue_notify: 'closing in a stub is not closing by the owner of the notification',
};

for (const [family, names] of Object.entries(PROGRAMS)) {
  const options = { secondsEach: 20, hold: true, whileRunning: moveEachProgram };
  sameAsNative(`${family}, in another generation`, names, options, KNOWN);
}
