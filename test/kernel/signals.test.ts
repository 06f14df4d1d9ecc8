import { sameAsNative } from './compare.js';
import { PROGRAMS } from './programs.js';

sameAsNative('signals', PROGRAMS.signals, { secondsEach: 20 });
