import { versions } from 'node:process';
import { nodeProblem } from '../core/node-version.ts';

/* The library, as `import` gets it: on an old Node an error that says so, rather than a SyntaxError. */

const problem = nodeProblem(versions.node);
if (problem !== undefined) throw new Error(problem);
const library = await import('../index.ts');

export const {
  ARCHITECTURES,
  CancelledError,
  EngineError,
  FormatError,
  IntegrityError,
  IoError,
  KINDS_WORST_FIRST,
  RehydrateError,
  ToolError,
  UnsupportedError,
  UsageError,
  audit,
  auditFailure,
  cancelled,
  createEngine,
  createHttp,
  createNativeEngine,
  createQemuEngine,
  decodeAuditReport,
  decodeStream,
  dehydrate,
  estimate,
  failureOf,
  inspect,
  isSha256,
  kindError,
  listArtifacts,
  mergeReports,
  openBundle,
  openLiveIso,
  openMetalCache,
  openRegistry,
  parseArch,
  parseReference,
  planWork,
  pull,
  push,
  readStream,
  recipesFor,
  rehydrate,
  renderBundleReport,
  renderInspection,
  reportBundle,
  resolveOutput,
  serve,
  throwIfAborted,
  toolMissing,
  writeReport,
} = library;
