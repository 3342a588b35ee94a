import type { Command } from 'commander';
import { openBundle } from '../../bundle/read.ts';
import type { Shard } from '../../bundle/shard.ts';
import { type Arch, parseArch } from '../../core/arch.ts';
import { UsageError } from '../../core/errors.ts';
import type { Rehydrated } from '../../verbs/rehydrate/arch.ts';
import { failureOf } from '../../verbs/rehydrate/failure.ts';
import { resolveOutput } from '../../verbs/rehydrate/output.ts';
import { type RehydrateReport, rehydrate } from '../../verbs/rehydrate/rehydrate.ts';
import { bundleOf, cacheFor, engineFor, existingFolder } from '../environment.ts';
import type { CliIo } from '../io.ts';
import { addEngineOptions, addSelectionOptions, type EngineOptions } from '../options.ts';
import { progressRenderer } from '../progress/choose.ts';
import { renderSummary, summaryEvent } from '../summary.ts';

interface RehydrateCliOptions extends EngineOptions {
  readonly bundle?: string;
  readonly arch?: Arch[] | 'all';
  readonly platform?: string[];
  readonly format?: string[];
  readonly shard?: Shard;
  readonly output: string;
  readonly iso?: string[];
  readonly force?: true;
}

export function addRehydrate(program: Command, io: CliIo): void {
  const command = program
    .command('rehydrate', { isDefault: true })
    .description('make platform images from a bundle (the default command)')
    .option('-o, --output <path>', 'file, folder, or - for stdout (several files: a tar)', '.')
    .option('--force', 'replace other files that are in the way')
    .addHelpText('after', HELP);
  addSelectionOptions(command, { everything: false });
  addEngineOptions(command).action((options: RehydrateCliOptions) => run(options, io));
}

const HELP = `
A platform of several formats gives its raw disk (metal) or all of them, unless --format
or a longer name such as metal/4k.raw or metal/pxe/kernel chooses.
With --arch all, architectures that have nothing of it are told and left out; one that
fails does not stop the others.
Prints a line for \`sha256sum -c\` for each file. Files that are there already are checked
and kept. Images are not compressed: the file is what the released one unpacks to, unless
the stream attests nothing else than the compressed one (gcp).`;

async function run(options: RehydrateCliOptions, io: CliIo): Promise<void> {
  if (options.platform === undefined) {
    throw new UsageError('no platform is named', {
      code: 'PLATFORM_NONE',
      hint: 'name some with --platform, such as --platform qemu, or all; `inspect` lists them',
    });
  }
  const { signal } = io;
  const bundle = await openBundle(bundleOf(options, io));
  const toStdout = options.output === '-';
  const beside = toStdout ? undefined : await existingFolder(options.output);
  await using cache = await cacheFor(options, io, beside);
  using progress = progressRenderer(options, io);
  // Image bytes and lines about them do not share a stream.
  const lines = toStdout ? io.stderr : io.stdout;
  const onResult = (result: Rehydrated) =>
    progress.aside(() => {
      lines.write(options.json ? `${JSON.stringify(resultEvent(result))}\n` : line(result));
    });

  const report = await rehydrate({
    bundle,
    arches: options.arch ?? [parseArch(io.hostArch)],
    selection: { platforms: options.platform, formats: options.format },
    shard: options.shard,
    output: toStdout
      ? { kind: 'stream', stream: io.stdout }
      : (count) => resolveOutput(options.output, count),
    force: options.force,
    jobs: options.jobs,
    engine: engineFor(options, io),
    cache,
    isoPaths: options.iso,
    signal,
    progress: progress.report,
    onResult,
  });
  progress.aside(() => summarize(report, options, io));
  const failure = failureOf(report);
  if (failure !== undefined) throw failure;
}

function summarize(report: RehydrateReport, options: RehydrateCliOptions, io: CliIo): void {
  if (options.json) io.stderr.write(`${JSON.stringify(summaryEvent(report))}\n`);
  else if (!options.quiet) io.stderr.write(renderSummary(report));
}

/** One artifact for machines. `reference` is its name as installers take it, with its digest. */
export function resultEvent(result: Rehydrated): Record<string, unknown> {
  const reference = `${encodeURIComponent(result.name)}?sha256=${result.sha256}`;
  return { type: 'result', ...result, reference };
}

/** As sha256sum prints it, its escapes for odd paths included. */
export function line({ sha256, path, name }: Pick<Rehydrated, 'sha256' | 'path' | 'name'>): string {
  const text = path ?? name;
  if (!/[\\\n\r]/.test(text)) return `${sha256}  ${text}\n`;
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
  return `\\${sha256}  ${escaped}\n`;
}
