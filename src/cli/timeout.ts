import type { MovedThread, PendingThread } from '../supervisor/protocol.js';
import { table } from './output/table.js';
import { seconds } from './parse.js';

export const timeoutFlag = {
  kind: 'parsed',
  parse: seconds,
  brief: 'How long to wait until it is finished; then exit with 7',
  placeholder: 'SECONDS',
  default: '10',
} as const;

/** Threads that have moved and threads that have not, for people. */
export function describeThreads(moved: readonly MovedThread[], pending: readonly PendingThread[]): string {
  const rows = [
    ...moved.map(({ tid, pauseMicroseconds, asleep }) => ({
      tid,
      pause: asleep ? '-' : pauseMicroseconds.toFixed(1),
      note: asleep ? 'moved (asleep, not disturbed)' : 'moved',
    })),
    ...pending.map(({ tid, reason }) => ({ tid, pause: '-', note: `pending: ${reason}` })),
  ];
  if (rows.length === 0) return 'No thread had to move.\n';
  return table(rows, [
    { title: 'TID', align: 'right', cell: (row) => row.tid },
    { title: 'PAUSE µs', align: 'right', cell: (row) => row.pause },
    { title: 'STATE', cell: (row) => row.note },
  ]);
}
