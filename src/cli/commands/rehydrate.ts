import type { Command } from '@commander-js/extra-typings';
import { openBundle } from '../../bundle/read.ts';
import { parseArch } from '../../core/arch.ts';
import { IoError, UsageError } from '../../core/errors.ts';
import type { Rehydrated } from '../../verbs/rehydrate/arch.ts';
import { failureOf } from '../../verbs/rehydrate/failure.ts';
import { type Output, resolveOutput } from '../../verbs/rehydrate/output.ts';
import { type RehydrateReport, rehydrate } from '../../verbs/rehydrate/rehydrate.ts';
import { bundleOf, cacheFor, engineFor, existingFolder } from '../environment.ts';
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
import { renderSummary, summaryEvent } from '../summary.ts';

function define(program: Command) {
  const command = program
    .command('rehydrate', { isDefault: true })
    .description('make platform images from a bundle (the default command)')
    .option('-o, --output <path>', 'file, folder, or - for stdout (several files: a tar)', '.')
    .option('--force', 'replace files with different content')
    .addHelpText('after', HELP);
  const selected = withIso(withShard(withBundle(withSelection(command, { everything: false }))));
  return withOutput(withJobs(withEngine(selected)));
}

type RehydrateCliOptions = OptionsOf<typeof define>;

export function addRehydrate(program: Command, io: CliIo): void {
  define(program).action((options) => run(options, io));
}

const HELP = `
If a platform has several formats, metal means its raw disk and any other platform all of them;
choose others with --format or with a longer name such as metal/4k.raw or metal/pxe/kernel.
With --arch all, architectures without a match are reported and skipped. An image or an
architecture that fails does not stop the others.
Prints a line for \`sha256sum -c\` for each file. Files that already exist are checked and kept.
Images are not compressed: each is what the released file unpacks to, unless the stream attests
only the compressed file (gcp).`;

async function run(options: RehydrateCliOptions, io: CliIo): Promise<void> {
  if (options.platform === undefined) {
    throw new UsageError('no platform is named', {
      code: 'PLATFORM_NONE',
      hint: 'choose with --platform, such as --platform qemu, or all; `inspect` lists them',
    });
  }
  const toStdout = options.output === '-';
  if (toStdout) refuseUselessOutput(io);
  const { signal } = io;
  const bundle = await openBundle(bundleOf(options, io), signal);
  const beside = toStdout ? undefined : await existingFolder(options.output);
  await using cache = await cacheFor(options, io, beside);
  using progress = progressRenderer(options, io);
  // Image bytes and lines about them do not share a stream.
  const lines = toStdout ? io.stderr : io.stdout;
  const onResult = (result: Rehydrated) =>
    progress.aside(() => {
      lines.write(options.json ? `${JSON.stringify(resultEvent(result))}\n` : line(result));
    });
  const output: Output | ((count: number) => Promise<Output>) = toStdout
    ? { kind: 'stream', stream: io.stdout }
    : (count) => resolveOutput(options.output, count);

  const report = await rehydrate({
    bundle,
    arches: options.arch ?? [parseArch(io.hostArch)],
    selection: { platforms: options.platform, formats: options.format },
    shard: options.shard,
    output,
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

function refuseUselessOutput({ stdoutIs }: CliIo): void {
  if (stdoutIs === 'terminal') {
    throw new UsageError('standard output is a terminal, which cannot show images', {
      code: 'OUTPUT_TERMINAL',
      hint: 'redirect it to a file or a pipe, or name a file or folder with -o',
    });
  }
  if (stdoutIs === 'closed') {
    throw new IoError('cannot write to standard output: it is closed', {
      code: 'IO',
      hint: 'redirect it to a file or a pipe, or name a file or folder with -o',
    });
  }
}

function summarize(report: RehydrateReport, { json, quiet }: OutputOptions, io: CliIo): void {
  if (json) io.stderr.write(`${JSON.stringify(summaryEvent(report))}\n`);
  else if (!quiet) io.stderr.write(renderSummary(report));
}

/** One artifact for machines. `reference` is its name as installers take it, with its digest. */
export function resultEvent(result: Rehydrated): Record<string, unknown> {
  const reference = `${encodeURIComponent(result.name)}?sha256=${result.sha256}`;
  return { type: 'result', ...result, reference };
}

/** As sha256sum prints it, including its escapes for odd paths. */
export function line({ sha256, path, name }: Pick<Rehydrated, 'sha256' | 'path' | 'name'>): string {
  const text = path ?? name;
  if (!/[\\\n\r]/.test(text)) return `${sha256}  ${text}\n`;
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
  return `\\${sha256}  ${escaped}\n`;
}
