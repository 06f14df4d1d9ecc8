import { sameAsNative } from './compare.js';
import { PROGRAMS } from './programs.js';

sameAsNative('memory', PROGRAMS.memory, { secondsEach: 20 });
