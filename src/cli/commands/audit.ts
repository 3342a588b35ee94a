import { join } from 'node:path';
import type { Command } from '@commander-js/extra-typings';
import { openBundle } from '../../bundle/read.ts';
import { readWhole } from '../../core/io/regular.ts';
import { printable } from '../../core/text/printable.ts';
import { audit } from '../../verbs/audit/audit.ts';
import { mergeReports } from '../../verbs/audit/merge.ts';
import { signingKeyOf } from '../../verbs/audit/render/statement.ts';
import { type AuditReport, decodeAuditReport } from '../../verbs/audit/report.ts';
import { auditFailure } from '../../verbs/audit/verdict.ts';
import { prepareReport, REPORT_FILES, writeReport } from '../../verbs/audit/write-report.ts';
import { bundleOf, cacheFor, engineFor, existingFolder, toolsOf } from '../environment.ts';
import type { CliIo } from '../io.ts';
import {
  type OptionsOf,
  type OutputOptions,
  withBundle,
  withEngine,
  withIso,
  withJobs,
  withOutput,
  withSelection,
  withShard,
} from '../option-groups.ts';
import { progressRenderer } from '../progress/choose.ts';

function define(program: Command) {
  const command = program
    .command('audit')
    .description('make every image of a bundle, check each SHA-256, and write a report')
    .requiredOption('--report <dir>', 'folder for the report')
    .option('--artifacts <dir>', 'folder with released files, to show where a wrong image differs')
    .option('--merge <dirs...>', 'combine the reports of all shards into one, without an audit')
    .option('--sign-key <file>', 'sign the in-toto statement with this private key (PEM)')
    .addHelpText('after', HELP);
  const selected = withIso(withShard(withBundle(withSelection(command, { everything: true }))));
  return withOutput(withJobs(withEngine(selected)));
}

type AuditCliOptions = OptionsOf<typeof define>;

export function addAudit(program: Command, io: CliIo): void {
  define(program).action((options) => run(options, io));
}

const HELP = `
Writes audit.json (schema: audit-report.schema.json in the package), audit.html, audit.md,
audit.junit.xml and audit.intoto.json, a SLSA verification summary. Images are hashed and
discarded; those that are BAD and can be compared with a released file are kept in DIR/bad.

  GOOD       made from the bundle, and its SHA-256 matches
  BAD        came out wrong, or the bundle is damaged                     exit code 4
  FAIL       could not be tried; this says nothing about the bundle       its own: 6, 7, 8, 5
  UNCOVERED  the bundle says that it does not cover it                    exit code 5
The worst result decides the exit code: BAD, then FAIL, then UNCOVERED.

Examples:
  iso-rehydrate audit --bundle bundle --report audit
  iso-rehydrate audit -b bundle --engine both --arch s390x --report audit
  iso-rehydrate audit -b bundle --artifacts release/ --report audit    compare what is BAD
  iso-rehydrate audit -b bundle --shard 2/4 --report part-2            one of four jobs
  iso-rehydrate audit --merge part-1 part-2 part-3 part-4 --report audit`;

async function run(options: AuditCliOptions, io: CliIo): Promise<void> {
  // Before an hour of work, not after it.
  const signingKey =
    options.signKey === undefined ? undefined : await readKey(options.signKey, io.signal);
  const report = options.merge
    ? await merged(options.merge, options.report, io)
    : await audited(options, io);
  await writeReport(options.report, report, { signingKey, signal: io.signal });
  if (options.merge) for (const line of linesOf(report, options)) io.stdout.write(line);
  const failure = auditFailure(report, `see ${join(options.report, REPORT_FILES.html)}`);
  if (failure !== undefined) throw failure;
}

async function audited(options: AuditCliOptions, io: CliIo): Promise<AuditReport> {
  const bundle = await openBundle(bundleOf(options, io), io.signal);
  await prepareReport(options.report);
  const engine = engineFor(options, io);
  await using cache = await cacheFor(options, io, await existingFolder(options.report));
  using progress = progressRenderer(options, io);
  // Awaited: cache and progress go when this function returns.
  return await audit({
    bundle,
    arches: options.arch ?? 'all',
    selection: { platforms: options.platform ?? ['all'], formats: options.format },
    shard: options.shard,
    engine,
    cache,
    jobs: options.jobs,
    isoPaths: options.iso,
    folder: options.artifacts,
    reportFolder: options.report,
    tools: toolsOf(io),
    signal: io.signal,
    progress: progress.report,
    onResult: (architecture, artifact) =>
      progress.aside(() => {
        io.stdout.write(line(architecture, artifact, options));
      }),
  });
}

async function merged(
  folders: readonly string[],
  into: string,
  { signal }: CliIo,
): Promise<AuditReport> {
  const reports: { source: string; report: AuditReport }[] = [];
  for (const source of folders) {
    const path = join(source, REPORT_FILES.json);
    const bytes = await readWhole(path, { limit: MAX_REPORT, what: 'an audit report', signal });
    reports.push({ source, report: decodeAuditReport(bytes, path) });
  }
  await prepareReport(into);
  return mergeReports(reports);
}

function linesOf({ architectures }: AuditReport, options: OutputOptions): string[] {
  return architectures.flatMap(({ architecture, artifacts }) =>
    artifacts.map((artifact) => line(architecture, artifact, options)),
  );
}

type Artifact = AuditReport['architectures'][number]['artifacts'][number];

function line(architecture: string, artifact: Artifact, { json }: OutputOptions): string {
  if (json) return `${JSON.stringify({ type: 'result', architecture, ...artifact })}\n`;
  const { status, label, sha256, difference, error } = artifact;
  const [why = ''] = (difference?.region ?? error?.message ?? sha256 ?? '').split('\n', 1);
  const name = `${architecture} ${label}`;
  return printable(`${status.padEnd(9)}  ${name.padEnd(28)}  ${why}\n`);
}

/** Bytes; a report has some hundred for each image. */
const MAX_REPORT = 64 << 20;
const MAX_KEY = 1 << 20;

/** Options that name files are read before any work. */
async function readKey(path: string, signal: AbortSignal): Promise<Buffer> {
  const hint = 'name a private key in PEM';
  const pem = await readWhole(path, { limit: MAX_KEY, what: 'the private key', hint, signal });
  signingKeyOf(pem);
  return pem;
}
