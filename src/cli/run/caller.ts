/** What `atlas` was started with, as `bin/atlas` wrote it down (x64/starter.ts) before Node.js changed it. */
import fs from 'node:fs';
import { RECORD, RECORD_BYTES, RECORDED_DESCRIPTORS } from '../../x64/starter.js';

export interface Caller {
  /** Signal masks: bit n-1 stands for signal n. */
  blocked: bigint;
  ignored: bigint;
  /** The soft limit. */
  openFiles: bigint;
  /** Those below `RECORDED_DESCRIPTORS`. */
  descriptors: ReadonlySet<number>;
}

/**
 * Takes the record, whose descriptor is closed then. `undefined` when the script was started in another way
 * (`node bin/atlas.js`): what Node.js changed cannot be told then.
 */
export function takeCaller(): Caller | undefined {
  for (const name of fs.readdirSync('/proc/self/fd')) {
    const descriptor = Number(name);
    if (!linkOf(descriptor).startsWith(`/memfd:${RECORD.name} `)) continue;
    const view = new DataView(new ArrayBuffer(RECORD_BYTES));
    const length = fs.readSync(descriptor, view, 0, RECORD_BYTES, 0);
    fs.closeSync(descriptor);
    // Another pid is that of a command which left its own record to us.
    if (length === RECORD_BYTES && view.getBigUint64(0, true) === BigInt(process.pid)) return parse(view);
  }
  return undefined;
}

function parse(view: DataView): Caller {
  const descriptors = new Set<number>();
  for (let number = 0; number < RECORDED_DESCRIPTORS; number++) {
    if (view.getUint8(RECORD.descriptors + (number >> 3)) & (1 << (number & 7))) descriptors.add(number);
  }
  return {
    blocked: view.getBigUint64(RECORD.blocked, true),
    ignored: view.getBigUint64(RECORD.ignored, true),
    openFiles: view.getBigUint64(RECORD.openFiles, true),
    descriptors,
  };
}

function linkOf(descriptor: number): string {
  try {
    return fs.readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    // The descriptor that listed the directory is closed by now.
    return '';
  }
}
