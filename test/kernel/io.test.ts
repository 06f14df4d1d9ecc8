import { sameAsNative } from './compare.js';
import { PROGRAMS } from './programs.js';

sameAsNative('io', PROGRAMS.io, { secondsEach: 20 });
