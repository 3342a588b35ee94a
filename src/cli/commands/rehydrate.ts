import type { Command } from 'commander';
import { type Arch, parseArch } from '../../arch.ts';
import { openBundle } from '../../bundle/read.ts';
import { UnsupportedError, UsageError } from '../../errors.ts';
import { resolveOutput } from '../../rehydrate/output.ts';
import { type Rehydrated, rehydrateArtifacts } from '../../rehydrate/rehydrate.ts';
import { shortName } from '../../stream/artifacts.ts';
import { cacheFor, engineFor, existingFolder } from '../environment.ts';
import type { CliIo } from '../io.ts';
import { addEngineOptions, type EngineOptions, parseArchOption, parseList } from '../options.ts';
import { progressRenderer } from '../progress/renderer.ts';

interface RehydrateCliOptions extends EngineOptions {
  readonly bundle?: string;
  readonly arch?: Arch;
  readonly platform?: string[];
  readonly format?: string[];
  readonly output: string;
  readonly iso?: string;
  readonly force?: true;
}

export function addRehydrate(program: Command, io: CliIo): void {
  const command = program
    .command('rehydrate', { isDefault: true })
    .description('make platform images from a bundle (the default command)')
    .option('-p, --platform <names>', 'platforms, comma separated, or `all`', parseList)
    .option('-f, --format <names>', 'formats: raw, 4k.raw, iso, pxe, qcow2… or `all`', parseList)
    .option('-a, --arch <arch>', "architecture (default: this host's)", parseArchOption)
    .option('-b, --bundle <dir>', 'bundle (default: $ISO_REHYDRATE_BUNDLE, else ./bundle)')
    .option('-o, --output <path>', 'file, folder, or - for stdout (several files: a tar)', '.')
    .option('--iso <file>', 'use this copy of the ISO instead of the bundle’s')
    .option('--force', 'replace other files that are in the way')
    .addHelpText('after', HELP);
  addEngineOptions(command).action((options: RehydrateCliOptions) => run(options, io));
}

const HELP = `
A platform of several formats gives its raw disk (metal) or all of them, unless --format
or a longer name such as metal/4k.raw or metal/pxe/kernel chooses.
Prints a line for \`sha256sum -c\` for each file. Files that are there already are checked
and kept. Images are not compressed: the file is what the released one unpacks to.`;

async function run(options: RehydrateCliOptions, io: CliIo): Promise<void> {
  if (options.platform === undefined) {
    throw new UsageError('no platform is named', {
      code: 'PLATFORM_NONE',
      hint: 'name some with --platform, such as --platform qemu, or all; `inspect` lists them',
    });
  }
  const { signal } = io;
  const bundle = await openBundle(options.bundle ?? (io.env.ISO_REHYDRATE_BUNDLE || 'bundle'));
  const toStdout = options.output === '-';
  const beside = toStdout ? undefined : await existingFolder(options.output);
  await using cache = await cacheFor(options, io, beside);
  using progress = progressRenderer(options, io);
  // Image bytes and lines about them do not share a stream.
  const lines = toStdout ? io.stderr : io.stdout;
  const onResult = (result: Rehydrated) =>
    progress.aside(() => {
      lines.write(
        options.json ? `${JSON.stringify({ type: 'result', ...result })}\n` : line(result),
      );
    });

  const { uncovered } = await rehydrateArtifacts({
    bundle,
    arch: options.arch ?? parseArch(io.hostArch),
    selection: { platforms: options.platform, formats: options.format },
    output: toStdout
      ? { kind: 'stream', stream: io.stdout }
      : (count) => resolveOutput(options.output, count),
    force: options.force,
    engine: engineFor(options, io),
    cache,
    isoPath: options.iso,
    signal,
    progress: progress.report,
    onResult,
  });
  if (uncovered.length === 0) return;
  const names = uncovered.map((artifact) => shortName(artifact, uncovered)).join(', ');
  throw new UnsupportedError(`all is done except what the bundle does not cover: ${names}`, {
    code: 'ARTIFACT_MISSING',
    context: Object.fromEntries(uncovered.map(({ name, reason }) => [name, reason])),
    hint: 'fetch these from the release, or name only platforms that the bundle covers',
  });
}

/** As sha256sum prints it, its escapes for odd paths included. */
export function line({ sha256, path, name }: Pick<Rehydrated, 'sha256' | 'path' | 'name'>): string {
  const text = path ?? name;
  if (!/[\\\n\r]/.test(text)) return `${sha256}  ${text}\n`;
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
  return `\\${sha256}  ${escaped}\n`;
}
