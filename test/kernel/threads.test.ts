import { sameAsNative } from './compare.js';
import { PROGRAMS } from './programs.js';

sameAsNative('threads', PROGRAMS.threads, { secondsEach: 20 });
