/** What the kernel says, from outside, of the task that runs a thread's code, beside what it says of the thread's own. */
import { readdir, readFile, readlink } from 'node:fs/promises';

const NAMESPACES = [
  'cgroup',
  'ipc',
  'mnt',
  'net',
  'pid',
  'pid_for_children',
  'time',
  'time_for_children',
  'user',
  'uts',
];
const STATUS = [
  'Uid', 'Gid', 'Groups', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'Cpus_allowed', 'Mems_allowed', 'Seccomp_filters',
  'Speculation_Store_Bypass',
]; // biome-ignore format: names
/** Numbers of proc(5), /proc/PID/stat. */
const STAT: Readonly<Record<string, number>> = { nice: 19, rt_priority: 40, policy: 41 };
const FILES = ['comm', 'cgroup', 'oom_score_adj', 'timerslack_ns', 'personality'];

export const FIELDS = [...STATUS, ...Object.keys(STAT), ...FILES, ...NAMESPACES.map((name) => `ns/${name}`)];

const SAME_STACK = 1 << 20;
const text = (path: string): Promise<string> => readFile(path, 'latin1').catch(() => '');

async function attributesOf(tid: number): Promise<Record<string, string>> {
  const folder = `/proc/${tid}`;
  const found: Record<string, string> = {};
  const status = await text(`${folder}/status`);
  for (const name of STATUS)
    found[name] = new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)?.[1]?.trim() ?? '';
  const stat = await text(`${folder}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  for (const [name, number] of Object.entries(STAT)) found[name] = fields[number - 3] ?? '';
  for (const name of FILES) found[name] = await text(`${folder}/${name}`);
  for (const name of NAMESPACES) found[`ns/${name}`] = await readlink(`${folder}/ns/${name}`).catch(() => '');
  return found;
}

/** Where a task's stack pointer is while it sleeps in the kernel; all threads of these programs do, most of the time. */
async function stackPointer(pid: number, tid: number): Promise<number | undefined> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const fields = (await text(`/proc/${pid}/task/${tid}/syscall`)).trim().split(' ');
    if (fields.length > 3) return Number(fields.at(-2));
  }
  return undefined;
}

async function tasksWithStacks(pid: number): Promise<{ tid: number; stack: number }[]> {
  const found: { tid: number; stack: number }[] = [];
  for (const name of await readdir(`/proc/${pid}/task`).catch(() => [] as string[])) {
    const stack = await stackPointer(pid, Number(name));
    if (stack !== undefined) found.push({ tid: Number(name), stack });
  }
  return found;
}

/** By process of the program: its stub processes, which are children of it that the program does not know. */
export async function stubProcesses(program: ReadonlySet<number>): Promise<Map<number, number[]>> {
  const found = new Map<number, number[]>();
  for (const name of await readdir('/proc')) {
    const candidate = Number(name);
    if (!Number.isInteger(candidate) || program.has(candidate)) continue;
    const stat = await text(`/proc/${name}/stat`);
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (program.has(Number(parent)) && state !== 'Z')
      found.set(Number(parent), [...(found.get(Number(parent)) ?? []), candidate]);
  }
  return found;
}

export interface Comparison {
  compared: number;
  /** By field: what differs, and how. */
  differences: Map<string, string[]>;
}

/** Compares the tasks of every moved thread of a process. */
export async function compareTasks(
  pid: number,
  moved: readonly number[],
  stubs: readonly number[],
  into: Comparison,
): Promise<void> {
  const runners: { tid: number; stack: number }[] = [];
  for (const host of stubs) runners.push(...(await tasksWithStacks(host)));
  for (const tid of moved) {
    const home = await stackPointer(pid, tid);
    const runner = runners.find(({ stack }) => home !== undefined && Math.abs(stack - home) < SAME_STACK);
    if (!runner) continue;
    const [own, running] = [await attributesOf(tid), await attributesOf(runner.tid)];
    // The stub's own filter is one more.
    own.Seccomp_filters = String(Number(own.Seccomp_filters) + 1);
    into.compared++;
    for (const field of FIELDS) {
      if (own[field] === running[field] || running[field] === '') continue;
      const known = into.differences.get(field) ?? [];
      into.differences.set(field, [
        ...known,
        `${own.comm!.trim()} ${tid}: ${own[field]} / ${running[field]}`,
      ]);
    }
  }
}
