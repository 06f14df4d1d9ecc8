import { sameAsNative } from './compare.js';
import { PROGRAMS } from './programs.js';

sameAsNative('processes', PROGRAMS.processes, { secondsEach: 20 });
