import type { Command } from '@commander-js/extra-typings';
import { chooseWork } from '../../bundle/work.ts';
import { parseArch } from '../../core/arch.ts';
import { IoError, UsageError } from '../../core/errors.ts';
import { silent } from '../../core/progress/progress.ts';
import { neededBlobs } from '../../verbs/isos/needed.ts';
import { wantedIsos } from '../../verbs/isos/resolve.ts';
import type { Rehydrated } from '../../verbs/rehydrate/arch.ts';
import { failureOf } from '../../verbs/rehydrate/failure.ts';
import { resolveOutput } from '../../verbs/rehydrate/output.ts';
import { type RehydrateReport, rehydrate } from '../../verbs/rehydrate/rehydrate.ts';
import { containersOf } from '../containers.ts';
import { cacheFor, engineFor, existingFolder } from '../environment.ts';
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
import { progressRenderer } from '../progress/choose.ts';
import { downloadsTo, isosOf, openSourced } from '../sources.ts';
import { renderSummary, summaryEvent } from '../summary.ts';

function define(program: Command) {
  const command = program
    .command('rehydrate', { isDefault: true })
    .description('make platform images from a bundle (the default command)')
    .option('-o, --output <path>', 'file, folder, or - for stdout (several files: a tar)', '.')
    .option('--released', 'make the files as they were released, compressed (see below)')
    .option('--force', 'replace existing files whose content differs')
    .option('--force-device', 'with -o /dev/…: overwrite the disk; it is read back afterwards')
    .addHelpText('after', HELP);
  const selected = withIso(withShard(withBundle(withSelection(command, { everything: false }))));
  const signed = withPolicy(withTrust(withKeyring(withContainers(selected))));
  return withOutput(withJobs(withCache(withEngine(signed))));
}

type RehydrateCliOptions = OptionsOf<typeof define>;

export function addRehydrate(program: Command, io: CliIo): void {
  define(program).action((options) => run(options, io));
}

const HELP = `
For a platform with several formats, makes its raw disk (metal) or all of them, unless --format
or a longer name such as metal/4k.raw or metal/pxe/kernel selects some.
With --arch all, architectures without a match are reported and skipped. An image or an
architecture that fails does not stop the others.
Prints a line for \`sha256sum -c\` for each file. Files that already exist are checked
and kept. Images are not compressed: each file is the released one unpacked, unless
the stream attests only the compressed file (gcp). With --released, each file is the released
one itself, under its own name and with the \`sha256\` of the stream, as far as the bundle says
how it was compressed (see \`inspect\` and \`dehydrate --released\`). With --keyring, an image is
written only if the release's own signature of its released file is good; for that, each is
compressed, too.`;

async function run(options: RehydrateCliOptions, io: CliIo): Promise<void> {
  if (options.platform === undefined) {
    throw new UsageError('no platform is named', {
      code: 'PLATFORM_NONE',
      hint: 'name platforms, such as --platform qemu, or --platform all; `inspect` lists them',
    });
  }
  const toStdout = options.output === '-';
  if (toStdout) refuseUselessOutput(io);
  const { signal } = io;
  const keyring = await keysOf(options, signal);
  const beside = toStdout ? undefined : await existingFolder(options.output);
  await using cache = await cacheFor(options, io, beside);
  await using downloads = downloadsTo(cache);
  using progress = progressRenderer(options, io);
  const source = await openSourced(options, io, downloads, progress.report);
  const { bundle } = source;
  const request = {
    bundle,
    arches: options.arch ?? [parseArch(io.hostArch)],
    selection: { platforms: options.platform, formats: options.format },
    shard: options.shard,
  };
  const wanted = () => wantedIsos(request);
  const isoPaths = await isosOf(options, io, downloads, wanted, progress.report);
  const { architectures: work } = chooseWork(request, silent);
  const containers = containersOf(options, io);
  const spare = { ...request, containers };
  await source.obtain(await neededBlobs(work, { isoPaths, disks: cache, spare }));
  // If images go to stdout, the lines about them go to stderr.
  const lines = toStdout ? io.stderr : io.stdout;
  const onResult = (result: Rehydrated) =>
    progress.aside(() => {
      lines.write(options.json ? `${JSON.stringify(resultEvent(result))}\n` : line(result));
    });

  const report = await rehydrate({
    ...request,
    output: toStdout
      ? { kind: 'stream', stream: io.stdout }
      : (count) => resolveOutput(options.output, count),
    released: options.released,
    keyring,
    force: options.force,
    forceDevice: options.forceDevice,
    ...workloadOf(options),
    engine: engineFor(options, io),
    cache,
    isoPaths,
    containers,
    signal,
    progress: progress.report,
    onResult,
  });
  progress.aside(() => summarize(report, options, io));
  const failure = failureOf(report);
  if (failure !== undefined) throw failure;
}

function refuseUselessOutput({ stdoutIs }: CliIo): void {
  const hint = 'redirect it to a file or a pipe, or name a file or folder with -o';
  if (stdoutIs === 'terminal') {
    throw new UsageError('standard output is a terminal, which cannot show images', {
      code: 'OUTPUT_TERMINAL',
      hint,
    });
  }
  if (stdoutIs === 'closed') {
    throw new IoError('cannot write to standard output: it is closed', { code: 'IO', hint });
  }
}

function summarize(report: RehydrateReport, options: OutputOptions, io: CliIo): void {
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
