import { fileURLToPath } from 'node:url';

/** The project's folder, seen from the compiled harness in `dist/test/harness`. */
export const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
export const ATLAS = `${PROJECT}bin/atlas.js`;
export const PROGRAMS = `${PROJECT}test/programs`;
