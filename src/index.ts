/** The library. Nothing here touches the process, the console or exit codes. */
export { ARCHITECTURES, type Arch, parseArch } from './arch.ts';
export { type AuditOptions, audit } from './audit/audit.ts';
export { mergeReports } from './audit/merge.ts';
export { type AuditReport, decodeAuditReport } from './audit/report.ts';
export { auditFailure } from './audit/verdict.ts';
export { writeReport } from './audit/write-report.ts';
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
export { type Estimate, estimate } from './estimate/estimate.ts';
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
export { planWork, type WorkPlan } from './plan/plan.ts';
export type { Shard } from './plan/shard.ts';
export type { Phase, Progress, ProgressEvent } from './progress.ts';
export { openRegistry, type Registry } from './registry/client.ts';
export { type PullOptions, pull } from './registry/pull.ts';
export { type PushOptions, push, type Transfer } from './registry/push.ts';
export { parseReference, type Reference } from './registry/reference.ts';
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
export { type ServeOptions, serve } from './serve/serve.ts';
export { listArtifacts, type StreamArtifact } from './stream/artifacts.ts';
export { decodeStream, readStream } from './stream/read.ts';
export type { Stream } from './stream/schema.ts';
