/** Writes `bin/atlas`; part of the build. */
import { renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { assembleStarter } from './starter.js';

const file = fileURLToPath(new URL('../../../bin/atlas', import.meta.url));
// Renamed into place: the old one may be about to be executed.
writeFileSync(`${file}.${process.pid}`, assembleStarter(), { mode: 0o755 });
renameSync(`${file}.${process.pid}`, file);
