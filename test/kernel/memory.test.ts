import { sameAsNative } from './compare.js';
import { PROGRAMS } from './programs.js';

sameAsNative(
  'memory',
  PROGRAMS.memory,
  { secondsEach: 20 },
  { lock_all: 'the total size of the address space is larger than natively' },
);
