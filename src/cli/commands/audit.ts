import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { openBundle } from '../../bundle/read.ts';
import type { Shard } from '../../bundle/shard.ts';
import type { Arch } from '../../core/arch.ts';
import { osError } from '../../core/io/os-error.ts';
import { printable } from '../../core/text/printable.ts';
import { audit } from '../../verbs/audit/audit.ts';
import { mergeReports } from '../../verbs/audit/merge.ts';
import { type AuditReport, decodeAuditReport } from '../../verbs/audit/report.ts';
import { auditFailure } from '../../verbs/audit/verdict.ts';
import { REPORT_FILES, writeReport } from '../../verbs/audit/write-report.ts';
import { bundleOf, cacheFor, engineFor, existingFolder, toolsOf } from '../environment.ts';
import type { CliIo } from '../io.ts';
import { addEngineOptions, addSelectionOptions, type EngineOptions } from '../options.ts';
import { progressRenderer } from '../progress/choose.ts';

interface AuditCliOptions extends EngineOptions {
  readonly bundle?: string;
  readonly arch?: Arch[] | 'all';
  readonly platform?: string[];
  readonly format?: string[];
  readonly shard?: Shard;
  readonly artifacts?: string;
  readonly iso?: string[];
  readonly report: string;
  readonly merge?: string[];
  readonly signKey?: string;
}

export function addAudit(program: Command, io: CliIo): void {
  const command = program
    .command('audit')
    .description('make every image of a bundle, judge each by its SHA-256, and report')
    .requiredOption('--report <dir>', 'folder for the report')
    .option('--artifacts <dir>', 'released files, to tell where a wrong image differs')
    .option('--merge <dirs...>', 'make one report of those of all shards; audits nothing itself')
    .option('--sign-key <file>', 'sign the in-toto statement with this private key (PEM)')
    .addHelpText('after', HELP);
  addSelectionOptions(command, { everything: true });
  addEngineOptions(command).action((options: AuditCliOptions) => run(options, io));
}

const HELP = `
Writes audit.json (its schema: audit-report.schema.json of the package), audit.html, audit.md,
audit.junit.xml and audit.intoto.json, a SLSA verification summary. Images are made into
nowhere: only those that are BAD and could be compared are kept, in DIR/bad.

  GOOD       made from the bundle, with the promised SHA-256
  BAD        came out wrong, or the bundle is damaged                     exit code 4
  FAIL       could not be tried; says nothing of the bundle               its own: 6, 7, 8, 5
  UNCOVERED  the bundle itself says that it has not got it                exit code 5
The worst of all decides: BAD, then FAIL, then UNCOVERED.

Examples:
  iso-rehydrate audit --bundle bundle --report audit
  iso-rehydrate audit -b bundle --engine both --arch s390x --report audit
  iso-rehydrate audit -b bundle --artifacts release/ --report audit    compares what is BAD
  iso-rehydrate audit -b bundle --shard 2/4 --report part-2            one of four jobs
  iso-rehydrate audit --merge part-1 part-2 part-3 part-4 --report audit`;

async function run(options: AuditCliOptions, io: CliIo): Promise<void> {
  // Before an hour of work, not after it.
  const signingKey = options.signKey === undefined ? undefined : await readOrThrow(options.signKey);
  const report = options.merge ? await merged(options.merge) : await audited(options, io);
  await writeReport(options.report, report, { signingKey, signal: io.signal });
  if (options.merge) for (const line of linesOf(report, options)) io.stdout.write(line);
  const failure = auditFailure(report, `see ${join(options.report, REPORT_FILES.html)}`);
  if (failure !== undefined) throw failure;
}

async function audited(options: AuditCliOptions, io: CliIo): Promise<AuditReport> {
  const bundle = await openBundle(bundleOf(options, io));
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

async function merged(folders: readonly string[]): Promise<AuditReport> {
  const reports: { source: string; report: AuditReport }[] = [];
  for (const source of folders) {
    const path = join(source, REPORT_FILES.json);
    reports.push({ source, report: decodeAuditReport(await readOrThrow(path), path) });
  }
  return mergeReports(reports);
}

function linesOf({ architectures }: AuditReport, options: AuditCliOptions): string[] {
  return architectures.flatMap(({ architecture, artifacts }) =>
    artifacts.map((artifact) => line(architecture, artifact, options)),
  );
}

type Artifact = AuditReport['architectures'][number]['artifacts'][number];

function line(architecture: string, artifact: Artifact, { json }: AuditCliOptions): string {
  if (json) return `${JSON.stringify({ type: 'result', architecture, ...artifact })}\n`;
  const { status, label, sha256, difference, error } = artifact;
  const [why = ''] = (difference?.region ?? error?.message ?? sha256 ?? '').split('\n', 1);
  const name = `${architecture} ${label}`;
  return printable(`${status.padEnd(9)}  ${name.padEnd(28)}  ${why}\n`);
}

/** Options that name files are read before any work. */
async function readOrThrow(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw osError(error, 'read', path);
  }
}
