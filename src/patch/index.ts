export { type BuildOptions, type BuildReport, buildPatch } from './build.js';
export {
  type EntryJump,
  type ImageSegment,
  type LinkedPatch,
  linkPatch,
  type RegistrationCall,
  rememberPatch,
} from './link.js';
export { LoadedLibraries, type LoadedModule, type Libraries } from './libraries.js';
export { readLinkMap } from './link-map.js';
export type { PatchNote, Verdict } from './note.js';
export { inspectPatch, type PatchInspection, type PatchObject, readPatch } from './patch-object.js';
export { type AddressRange, type PatchPlan, type PlannedFunction, planPatch } from './plan.js';
export type { AppliedPatches, TargetProgram } from './target-program.js';
