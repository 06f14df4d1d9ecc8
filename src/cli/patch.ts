import { buildRouteMap } from '@stricli/core';
import { applyCommand } from './patch-apply.js';
import { buildPatchCommand } from './patch-build.js';
import { inspectCommand } from './patch-inspect.js';
import { statusCommand } from './patch-status.js';

export const patchRoutes = buildRouteMap({
  docs: { brief: 'Build, inspect and apply patches of running programs' },
  routes: { build: buildPatchCommand, inspect: inspectCommand, apply: applyCommand, status: statusCommand },
});
