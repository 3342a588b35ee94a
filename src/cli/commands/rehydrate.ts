import type { Command } from 'commander';
import { openBundle } from '../../bundle/read.ts';
import type { Shard } from '../../bundle/shard.ts';
import { type Arch, parseArch } from '../../core/arch.ts';
import { UsageError } from '../../core/errors.ts';
import type { Rehydrated } from '../../verbs/rehydrate/arch.ts';
import { failureOf } from '../../verbs/rehydrate/failure.ts';
import { resolveOutput } from '../../verbs/rehydrate/output.ts';
import { type RehydrateReport, rehydrate } from '../../verbs/rehydrate/rehydrate.ts';
import { addContainerOptions, type ContainerOptions, containersOf } from '../containers.ts';
import { bundleOf, cacheFor, engineFor, existingFolder } from '../environment.ts';
import type { CliIo } from '../io.ts';
import { addEngineOptions, addSelectionOptions, type EngineOptions } from '../options.ts';
import { progressRenderer } from '../progress/choose.ts';
import { renderSummary, summaryEvent } from '../summary.ts';

interface RehydrateCliOptions extends EngineOptions, ContainerOptions {
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
    .option('--force', 'replace existing files with other content')
    .addHelpText('after', HELP);
  addSelectionOptions(command, { everything: false });
  addContainerOptions(
    command,
    'take files from this container image, OSTree repository or folder, not the ISO',
  );
  addEngineOptions(command).action((options: RehydrateCliOptions) => run(options, io));
}

const HELP = `
For a platform with several formats, makes its raw disk (metal) or all of them, unless --format
or a longer name such as metal/4k.raw or metal/pxe/kernel selects some.
With --arch all, architectures without a match are reported and skipped; one that
fails does not stop the others.
Prints a line for \`sha256sum -c\` for each file. Files that already exist are checked
and kept. Images are not compressed: each file is the released one unpacked, unless
the stream attests only the compressed file (gcp).`;

async function run(options: RehydrateCliOptions, io: CliIo): Promise<void> {
  if (options.platform === undefined) {
    throw new UsageError('no platform is named', {
      code: 'PLATFORM_NONE',
      hint: 'name platforms, such as --platform qemu, or --platform all; `inspect` lists them',
    });
  }
  const { signal } = io;
  const bundle = await openBundle(bundleOf(options, io), io.signal);
  const toStdout = options.output === '-';
  const beside = toStdout ? undefined : await existingFolder(options.output);
  await using cache = await cacheFor(options, io, beside);
  using progress = progressRenderer(options, io);
  // If images go to stdout, the lines about them go to stderr.
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
    containers: containersOf(options, io),
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

/** One artifact for machines. `reference` is its name and digest, as installers accept them. */
export function resultEvent(result: Rehydrated): Record<string, unknown> {
  const reference = `${encodeURIComponent(result.name)}?sha256=${result.sha256}`;
  return { type: 'result', ...result, reference };
}

/** The line that sha256sum prints, with its escapes for unusual paths. */
export function line({ sha256, path, name }: Pick<Rehydrated, 'sha256' | 'path' | 'name'>): string {
  const text = path ?? name;
  if (!/[\\\n\r]/.test(text)) return `${sha256}  ${text}\n`;
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
  return `\\${sha256}  ${escaped}\n`;
}
