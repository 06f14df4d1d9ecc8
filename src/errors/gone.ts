/** What was worked on has ended in the middle (SIGKILL comes at any time): a normal outcome, and nobody's fault. */
export class Gone extends Error {}
