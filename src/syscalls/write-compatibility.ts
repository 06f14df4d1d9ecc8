/** Writes docs/compatibility.md, relative to the working directory. */
import { writeFileSync } from 'node:fs';
import { renderCompatibilityPage } from './compatibility.js';

writeFileSync('docs/compatibility.md', renderCompatibilityPage());
