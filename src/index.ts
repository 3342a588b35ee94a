/** The library. Nothing here touches the process, the console or exit codes. */

export type { MetalVariant } from '../images/platforms.ts';
export { type Bundle, openBundle, recipesFor } from './bundle/read.ts';
export type { MissingArtifact, Recipe, RecipeArtifact, Recipes } from './bundle/recipes.ts';
export type { Selection } from './bundle/select.ts';
export type { Shard } from './bundle/shard.ts';
export { ARCHITECTURES, type Arch, parseArch } from './core/arch.ts';
export * from './core/errors.ts';
export { createHttp, type Http, type HttpOptions } from './core/http/client.ts';
export { isSha256, type Sha256 } from './core/io/digest.ts';
export type { Phase, Progress, ProgressEvent } from './core/progress/progress.ts';
export {
  type MetalCache,
  type MetalCacheOptions,
  openMetalCache,
} from './engine/cache/metal-cache.ts';
export { type CreateEngineOptions, createEngine, type EngineChoice } from './engine/choose.ts';
export type { EngineReport, MetalDisk, MetalEngine, RegenerateRequest } from './engine/engine.ts';
export type { Containers } from './engine/files/sources/open-container.ts';
export { createNativeEngine, type NativeEngineOptions } from './engine/native/index.ts';
export { createQemuEngine, type QemuEngineOptions } from './engine/qemu/index.ts';
export type { IsoExtent, LiveIso, OsmetEntry } from './formats/iso/live-iso.ts';
export { openLiveIso } from './formats/iso/open.ts';
export { openRegistry, type Registry } from './registry/client.ts';
export { parseReference, type Reference } from './registry/reference.ts';
export { listArtifacts, type StreamArtifact } from './release/stream/artifacts.ts';
export { decodeStream, readStream } from './release/stream/read.ts';
export type { Stream } from './release/stream/schema.ts';
export { type AuditOptions, audit } from './verbs/audit/audit.ts';
export { mergeReports } from './verbs/audit/merge.ts';
export { type AuditReport, decodeAuditReport } from './verbs/audit/report.ts';
export { auditFailure } from './verbs/audit/verdict.ts';
export { writeReport } from './verbs/audit/write-report.ts';
export {
  type ArchReport,
  type DehydrateOptions,
  type DehydrateReport,
  dehydrate,
} from './verbs/dehydrate/dehydrate.ts';
export { type Estimate, estimate } from './verbs/estimate/estimate.ts';
export {
  type ArchitectureReport,
  type ArtifactReport,
  type BundleReport,
  renderBundleReport,
  reportBundle,
} from './verbs/inspect/bundle-report.ts';
export { type Inspection, inspect, renderInspection } from './verbs/inspect/inspect.ts';
export { planWork, type WorkPlan } from './verbs/plan/plan.ts';
export type { Rehydrated } from './verbs/rehydrate/arch.ts';
export { failureOf } from './verbs/rehydrate/failure.ts';
export { type Output, resolveOutput } from './verbs/rehydrate/output.ts';
export {
  type ArchOutcome,
  type RehydrateOptions,
  type RehydrateReport,
  rehydrate,
} from './verbs/rehydrate/rehydrate.ts';
export { type ServeOptions, serve } from './verbs/serve/serve.ts';
export { type PullOptions, pull } from './verbs/transfer/pull.ts';
export { type PushOptions, push, type Transfer } from './verbs/transfer/push.ts';
