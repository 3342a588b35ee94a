import { join } from 'node:path';
import type { Command } from '@commander-js/extra-typings';
import { chooseWork } from '../../bundle/work.ts';
import { UsageError } from '../../core/errors.ts';
import { type Sha256, sha256Of } from '../../core/io/digest.ts';
import { readWhole } from '../../core/io/regular.ts';
import { silent } from '../../core/progress/progress.ts';
import { printable } from '../../core/text/printable.ts';
import { audit } from '../../verbs/audit/audit.ts';
import { mergeReports } from '../../verbs/audit/merge.ts';
import { checkPlan, checkSigned, publicKey, readPart } from '../../verbs/audit/parts.ts';
import { signingKeyOf } from '../../verbs/audit/render/statement.ts';
import type { AuditReport } from '../../verbs/audit/report.ts';
import { auditFailure } from '../../verbs/audit/verdict.ts';
import { prepareReport, REPORT_FILES, writeReport } from '../../verbs/audit/write-report.ts';
import { neededBlobs } from '../../verbs/isos/needed.ts';
import { wantedIsos } from '../../verbs/isos/resolve.ts';
import { containersOf } from '../containers.ts';
import { cacheFor, engineFor, existingFolder, toolsOf } from '../environment.ts';
import type { CliIo } from '../io.ts';
import { workloadOf } from '../jobs.ts';
import { keysOf } from '../keyring.ts';
import {
  type OptionsOf,
  type OutputOptions,
  withBundle,
  withCache,
  withContainers,
  withEngine,
  withIso,
  withJobs,
  withKeyring,
  withOutput,
  withPolicy,
  withSelection,
  withShard,
  withTrust,
} from '../option-groups.ts';
import { collect } from '../options.ts';
import { progressRenderer } from '../progress/choose.ts';
import { downloadsTo, isosOf, openSourced } from '../sources.ts';

function define(program: Command) {
  const command = program
    .command('audit')
    .description('make every image of a bundle, check each SHA-256, and write a report')
    .requiredOption('--report <dir>', 'folder for the report')
    .option('--released', 'judge the files as they were released, compressed, not their contents')
    .option('--artifacts <dir>', 'released files, to show where a wrong image differs')
    .option(
      '--merge <dirs...>',
      'merge the reports of all shards into one, without auditing anything',
    )
    .option('--sign-key <file>', 'sign the in-toto statement with this private key (PEM)')
    .option(
      '--part-key <file>',
      'with --merge: public key of a shard’s --sign-key (default: as --sign-key; repeatable)',
      collect,
    )
    .addHelpText('after', HELP);
  const selected = withIso(withShard(withBundle(withSelection(command, { everything: true }))));
  const signed = withPolicy(withTrust(withKeyring(withContainers(selected))));
  return withOutput(withJobs(withCache(withEngine(signed))));
}

type AuditCliOptions = OptionsOf<typeof define>;

export function addAudit(program: Command, io: CliIo): void {
  define(program).action((options) => run(options, io));
}

const HELP = `
Writes audit.json (its schema is audit-report.schema.json in the package), audit.html, audit.md,
audit.junit.xml and audit.intoto.json, a SLSA verification summary. Images are hashed and
discarded; only BAD images that could be compared are kept, in DIR/bad.

  GOOD       made from the bundle, with the promised SHA-256
  BAD        came out wrong, or the bundle is damaged                    exit code 4
  FAIL       could not be tried; says nothing about the bundle           its cause's: 5, 6, 7 or 8
  UNCOVERED  the bundle says that it does not contain the image          exit code 5
The exit code is that of the worst status: BAD, then FAIL, then UNCOVERED.
With --released, a released file is UNCOVERED if the bundle does not say how it was compressed. With
--keyring, GOOD also means that the release's own signature is good.

With --bundle, --merge compares each part with the bundle's contents for its shard. A merged report is
signed only if it is proved: --sign-key requires --bundle, and parts that were signed with
--sign-key, by the same key or by one that --part-key names. Otherwise the results are the word of whoever
wrote the parts, and a note says what was not checked.

Examples:
  iso-rehydrate audit --bundle bundle --report audit
  iso-rehydrate audit -b bundle --engine both --arch s390x --report audit
  iso-rehydrate audit -b bundle --artifacts release/ --report audit    compare BAD images
  iso-rehydrate audit -b bundle --shard 2/4 --report part-2            one of four jobs
  iso-rehydrate audit --merge part-1 part-2 part-3 part-4 --report audit
  iso-rehydrate audit --merge part-1 part-2 --bundle bundle --sign-key key.pem --report audit`;

async function run(options: AuditCliOptions, io: CliIo): Promise<void> {
  // Fail before the work, not after it.
  const signingKey =
    options.signKey === undefined ? undefined : await readKey(options.signKey, io.signal);
  if (signingKey) signingKeyOf(signingKey);
  const { report, inputs } = options.merge
    ? await merged(options.merge, signingKey, options, io)
    : { report: await audited(options, io) };
  await writeReport(options.report, report, { signingKey, inputs, signal: io.signal });
  if (options.merge) for (const line of linesOf(report, options)) io.stdout.write(line);
  const failure = auditFailure(report, `see ${join(options.report, REPORT_FILES.html)}`);
  if (failure !== undefined) throw failure;
}

async function audited(options: AuditCliOptions, io: CliIo): Promise<AuditReport> {
  const keyring = await keysOf(options, io.signal);
  const engine = engineFor(options, io);
  await using cache = await cacheFor(options, io, await existingFolder(options.report));
  await using downloads = downloadsTo(cache);
  using progress = progressRenderer(options, io);
  const source = await openSourced(options, io, downloads, progress.report);
  const { bundle } = source;
  await prepareReport(options.report);
  const request = {
    bundle,
    arches: options.arch ?? ('all' as const),
    selection: { platforms: options.platform ?? ['all'], formats: options.format },
    shard: options.shard,
  };
  const wanted = () => wantedIsos(request);
  const isoPaths = await isosOf(options, io, downloads, wanted, progress.report);
  const { architectures: work } = chooseWork(request, silent);
  const containers = containersOf(options, io);
  await source.obtain(await neededBlobs(work, { isoPaths, spare: { ...request, containers } }));
  // Awaited, because the cache and the progress display are disposed of when this function returns.
  return await audit({
    ...request,
    engine,
    cache,
    ...workloadOf(options),
    isoPaths,
    containers,
    released: options.released,
    keyring,
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

interface Merged {
  readonly report: AuditReport;
  /** Signed statements of the parts. */
  readonly inputs?: readonly Sha256[];
}

/** Signs only what was proved: each part by the bundle's plan, and by the signature of the job that made it. */
async function merged(
  folders: readonly string[],
  signingKey: Buffer | undefined,
  options: AuditCliOptions,
  io: CliIo,
): Promise<Merged> {
  const { signal, env } = io;
  const { bundle: path = signingKey && env.ISO_REHYDRATE_BUNDLE, partKey } = options;
  if (signingKey && !path) {
    throw new UsageError('a merged report is signed only if it is compared with its bundle', {
      code: 'MERGE_BUNDLE',
      hint: 'name the bundle with --bundle, or leave --sign-key out',
    });
  }
  const parts = [];
  for (const folder of folders) parts.push(await readPart(folder, signal));
  await prepareReport(options.report);
  const report = mergeReports(parts);
  noteUnproved(
    { plan: path !== undefined, signed: partKey !== undefined || !!signingKey },
    options,
    io,
  );
  if (path) {
    await using cache = await cacheFor(options, io, await existingFolder(options.report));
    await using downloads = downloadsTo(cache);
    const { bundle } = await openSourced({ ...options, bundle: path }, io, downloads, silent);
    for (const part of parts) checkPlan(part, bundle);
  }
  const pems = [];
  for (const file of partKey ?? []) pems.push(await readKey(file, signal));
  if (pems.length === 0 && signingKey) pems.push(signingKey);
  if (pems.length === 0) return { report };
  const keys = pems.map(publicKey);
  for (const part of parts) checkSigned(part, keys);
  const inputs = parts.flatMap(({ envelope }) => (envelope ? [sha256Of(envelope)] : []));
  return { report, inputs };
}

/** Says what a merged report rests on. */
function noteUnproved(
  { plan, signed }: { readonly plan: boolean; readonly signed: boolean },
  options: AuditCliOptions,
  io: CliIo,
): void {
  const missing = [
    ...(plan ? [] : ['the parts were not compared with the bundle (--bundle)']),
    ...(signed ? [] : ['no signature of theirs was checked (--part-key)']),
  ];
  if (missing.length === 0) return;
  using progress = progressRenderer(options, io);
  const message = `${missing.join(', and ')}: the results are as trustworthy as their files`;
  progress.report({ type: 'note', subject: 'merge', message });
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

const MAX_KEY = 1 << 20;

/** Files named by options are read before any work starts. */
function readKey(path: string, signal: AbortSignal): Promise<Buffer> {
  const hint = 'name a key in PEM';
  return readWhole(path, { limit: MAX_KEY, what: 'the key', hint, signal });
}
