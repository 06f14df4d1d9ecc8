import { sameAsNative } from './compare.js';
import { PROGRAMS } from './programs.js';

sameAsNative(
  'processes',
  PROGRAMS.processes,
  { secondsEach: 20 },
  { seccomp_mode: 'the filter of Atlas is told as the program’s own' },
);
