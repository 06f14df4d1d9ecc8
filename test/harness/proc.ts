/** What /proc says about processes: which belong to a test, and what each of their tasks is doing. */
import { readFile, readdir, readlink } from 'node:fs/promises';

export interface ProcessSnapshot {
  pid: number;
  parent: number;
  state: string;
  command: string;
}

/** Every environment variable of this name marks what a test has started: it is inherited. */
export const MARKER = 'ATLAS_TEST_ID';

/**
 * The live processes of one test: they carry the marker in their environment, or (programs that set their
 * title overwrite their environment) work in the test's folder or name it in their command line, or descend
 * from such a process. Zombies are not live.
 */
export async function processesOfTest(id: string, folder: string): Promise<ProcessSnapshot[]> {
  const all = await snapshot();
  const members = new Set<number>();
  await Promise.all(
    [...all.values()].map(async (candidate) => {
      if (candidate.pid === process.pid) return;
      if (await isMarked(candidate.pid, id, folder)) members.add(candidate.pid);
    }),
  );
  for (let grew = true; grew; ) {
    grew = false;
    for (const candidate of all.values()) {
      if (!members.has(candidate.pid) && members.has(candidate.parent)) {
        members.add(candidate.pid);
        grew = true;
      }
    }
  }
  return [...all.values()].filter(({ pid, state }) => members.has(pid) && state !== 'Z' && state !== 'X');
}

async function isMarked(pid: number, id: string, folder: string): Promise<boolean> {
  if ((await text(`/proc/${pid}/environ`)).includes(`${MARKER}=${id}`)) return true;
  if ((await text(`/proc/${pid}/cmdline`)).includes(folder)) return true;
  return (await readlink(`/proc/${pid}/cwd`).catch(() => '')).startsWith(folder);
}

async function snapshot(): Promise<Map<number, ProcessSnapshot>> {
  const found = new Map<number, ProcessSnapshot>();
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const stat = await text(`/proc/${pid}/stat`);
    // The command is in parentheses and may itself contain parentheses and spaces: see proc(5).
    const end = stat.lastIndexOf(')');
    if (end < 0) continue;
    const [state, parent] = stat.slice(end + 2).split(' ');
    found.set(pid, {
      pid,
      parent: Number(parent),
      state: state!,
      command: stat.slice(stat.indexOf('(') + 1, end),
    });
  }
  return found;
}

const STATUS_LINES = /^(State|Tgid|PPid|TracerPid|SigPnd|ShdPnd|SigBlk|SigIgn|SigCgt):/;

/** One paragraph per task of the given processes: enough to see who waits for whom. */
export async function describeTasks(processes: readonly ProcessSnapshot[]): Promise<string> {
  const lines: string[] = [];
  for (const { pid, parent, command } of processes) {
    lines.push(`process ${pid} (${command}), parent ${parent}`);
    for (const tid of await readdir(`/proc/${pid}/task`).catch(() => [] as string[])) {
      const description = await describeTask(`/proc/${pid}/task/${tid}`, tid);
      // A Node.js process has a dozen threads that wait for work: not worth a line.
      const idle = /TracerPid: 0;/.test(description[0]!) && /wchan futex/.test(description[1]!);
      if (!idle) lines.push(...description);
    }
  }
  return lines.join('\n');
}

async function describeTask(folder: string, tid: string): Promise<string[]> {
  const [command, status, syscall, channel, stack] = await Promise.all(
    ['comm', 'status', 'syscall', 'wchan', 'stack'].map((file) => text(`${folder}/${file}`)),
  );
  const facts = status!
    .split('\n')
    .filter((line) => STATUS_LINES.test(line))
    .map((line) => line.replace(/\s+/g, ' '));
  return [
    `  task ${tid} (${command!.trim()}) ${facts.join('; ')}`,
    `    wchan ${channel!.trim()}; syscall ${syscall!.trim()}`,
    ...stack!
      .split('\n')
      .filter((line) => line !== '')
      .slice(0, 3)
      .map((line) => `    ${line}`),
  ];
}

async function text(path: string): Promise<string> {
  return readFile(path, 'latin1').catch(() => '');
}

/** SIGKILL to a process that may be gone already. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
