/** The library. Nothing here touches the process, the console or exit codes. */
export { ARCHITECTURES, type Arch, parseArch } from './arch.ts';
export { type Bundle, openBundle, recipesFor } from './bundle/read.ts';
export type { MissingArtifact, Recipe, RecipeArtifact, Recipes } from './bundle/recipes.ts';
export { type MetalCache, type MetalCacheOptions, openMetalCache } from './cache/metal-cache.ts';
export {
  type ArchReport,
  type DehydrateOptions,
  type DehydrateReport,
  dehydrate,
} from './dehydrate/dehydrate.ts';
export { type CreateEngineOptions, createEngine, type EngineChoice } from './engine/choose.ts';
export type { EngineReport, MetalDisk, MetalEngine, RegenerateRequest } from './engine/engine.ts';
export { createNativeEngine, type NativeEngineOptions } from './engine/native/index.ts';
export { createQemuEngine, type QemuEngineOptions } from './engine/qemu/index.ts';
export * from './errors.ts';
export {
  type ArchitectureReport,
  type ArtifactReport,
  type BundleReport,
  renderBundleReport,
  reportBundle,
} from './inspect/bundle-report.ts';
export { type Inspection, inspect, renderInspection } from './inspect/inspect.ts';
export { isSha256, type Sha256 } from './io/digest.ts';
export type { IsoExtent, LiveIso, MetalVariant, OsmetEntry } from './iso/live-iso.ts';
export { openLiveIso } from './iso/open.ts';
export type { Phase, Progress, ProgressEvent } from './progress.ts';
export type { Rehydrated } from './rehydrate/arch.ts';
export { failureOf } from './rehydrate/failure.ts';
export { type Output, resolveOutput } from './rehydrate/output.ts';
export {
  type ArchOutcome,
  type RehydrateOptions,
  type RehydrateReport,
  rehydrate,
} from './rehydrate/rehydrate.ts';
export type { Selection } from './rehydrate/select.ts';
export { listArtifacts, type StreamArtifact } from './stream/artifacts.ts';
export { decodeStream, readStream } from './stream/read.ts';
export type { Stream } from './stream/schema.ts';
