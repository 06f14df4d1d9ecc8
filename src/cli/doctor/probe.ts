/** `failure`: nothing runs here. `warning`: some programs, or some commands, will not work. */
export type Verdict = 'ok' | 'warning' | 'failure';

export interface Finding {
  verdict: Verdict;
  /** What is there, in a few words. */
  found: string;
  /** What to do about it; the empty string when it is fine. */
  advice: string;
}

/** One thing that Atlas needs of a machine. Probes are quick and change nothing: `atlas run` asks them all. */
export interface Probe {
  /** Stable: scripts select by it. */
  name: string;
  check(): Finding;
}

export const ok = (found: string): Finding => ({ verdict: 'ok', found, advice: '' });
export const warning = (found: string, advice: string): Finding => ({ verdict: 'warning', found, advice });
export const failure = (found: string, advice: string): Finding => ({ verdict: 'failure', found, advice });
