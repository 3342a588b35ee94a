import { resolve } from 'node:path';
import { type Command, Option } from '@commander-js/extra-typings';
import { DEFAULT_RELEASED } from '../../bundle/released-layer.ts';
import { UsageError } from '../../core/errors.ts';
import { createHttp } from '../../core/http/client.ts';
import { printable } from '../../core/text/printable.ts';
import { type DehydrateReport, dehydrate } from '../../verbs/dehydrate/dehydrate.ts';
import { renderArchitecture, reportArchitecture } from '../../verbs/inspect/bundle-report.ts';
import { containersOf } from '../containers.ts';
import { cacheFor, engineFor, existingFolder } from '../environment.ts';
import type { CliIo } from '../io.ts';
import { workloadOf } from '../jobs.ts';
import {
  type OptionsOf,
  streamOption,
  withCache,
  withContainers,
  withEngine,
  withJobs,
  withKeyring,
  withOutput,
} from '../option-groups.ts';
import { oneOf, parseArches, parseJobs, parseList, parseReleased } from '../options.ts';
import { progressRenderer } from '../progress/choose.ts';
import { streamOf } from '../sources.ts';

function define(program: Command) {
  const command = program
    .command('dehydrate')
    .description('make a bundle from a release: its stream JSON, live ISO and images')
    .addOption(streamOption())
    .requiredOption('--artifacts <dir>', 'folder with the released files')
    .requiredOption('-o, --output <dir>', 'where to write the bundle')
    .option(
      '-a, --arch <names>',
      'architectures, or `all` (default: those whose ISO is in the folder)',
      parseArches,
    )
    .option('--iso-external', 'leave the ISO out of the bundle')
    .option(
      '--base <kind>',
      'what to make the metal disk from: osmet or files (default: see below)',
      oneOf(['osmet', 'files']),
    )
    .addOption(
      new Option('--released <kinds>', 'released files to make too: gz, zip, xz, `all` or `none`')
        .argParser(parseReleased)
        .default([...DEFAULT_RELEASED], DEFAULT_RELEASED.join(',')),
    )
    .option('--allow-missing <names>', 'artifacts that may be missing', parseList)
    .option(
      '--download',
      'download files that are not in the folder, from their locations in the stream',
    )
    .option('--downloads <n>', 'files to download at a time', parseJobs, 4)
    .option('--force', 'replace an existing bundle')
    .addHelpText('after', HELP);
  const where = 'container image, OSTree repository or folder that can replace the ISO later';
  const keyring = 'with --download: check the GPG signature of every file (gpgv)';
  const signed = withKeyring(command, keyring);
  return withOutput(withJobs(withCache(withEngine(withContainers(signed, where)))));
}

type DehydrateCliOptions = OptionsOf<typeof define>;

export function addDehydrate(program: Command, io: CliIo): void {
  define(program).action((options) => run(options, io));
}

const HELP = `
Boots the ISO to regenerate its metal disk, makes a delta for every other image, writes the
bundle, and proves it by making every image from it before it appears at its final path.
Released .xz, .gz and .zst files need not be unpacked. The same inputs give the same bytes.
With --download, missing files are downloaded into the folder, several at a time, and hashed
as they arrive; an interrupted run resumes where it stopped. Disks that the ISO unpacks to
are downloaded only if --released names their compression. --keyring takes keys in binary or ASCII-armored form; a key that has expired or
was revoked proves nothing unless --accept-key names it. Without --arch, all architectures of
the stream are covered.
--base osmet, the default, relies on the osmet in the ISO. If the ISO has none, --base files is
used: the bundle lists the files on the disk and holds a delta from their contents to the
released metal image. With --container, either the ISO or one of the containers is enough to
make the disk; the bundle holds the files that one of them lacks.
For each .gz and .zip file, the bundle also says how it was compressed if that can be found out, so
that \`rehydrate --released\` makes the released file itself. --released gz,zip,xz does the same for
.xz files, which takes as long as xz takes to compress them.

Examples:
  iso-rehydrate dehydrate --stream stream.json --artifacts release/ -o bundle
  iso-rehydrate dehydrate --stream stable.json --arch x86_64 --download --artifacts dl/ \\
    --keyring fedora.gpg -o bundle
  iso-rehydrate dehydrate --stream stable.json --artifacts dl/ -o bundle \\
    --container quay.io/fedora/fedora-coreos:stable
  iso-rehydrate estimate --stream stable.json    preview it`;

function downloadOf(options: DehydrateCliOptions, { env }: CliIo) {
  const { download, downloads, keyring, acceptKey } = options;
  if (acceptKey && keyring === undefined) {
    throw new UsageError('--accept-key needs --keyring', {
      code: 'KEYRING_ALONE',
      hint: 'add --download and --keyring',
    });
  }
  if (download)
    return { parallel: downloads, keyring, acceptKeys: acceptKey, http: createHttp({ env }) };
  if (keyring === undefined) return undefined;
  throw new UsageError('--keyring needs --download', {
    code: 'KEYRING_ALONE',
    hint: 'add --download; it also checks the files that are in the folder already',
  });
}

async function run(options: DehydrateCliOptions, io: CliIo): Promise<void> {
  const download = downloadOf(options, io);
  await using cache = await cacheFor(
    options,
    io,
    await existingFolder(resolve(options.output, '..')),
  );
  let report: DehydrateReport;
  {
    using progress = progressRenderer(options, io);
    report = await dehydrate({
      streamPath: options.stream,
      stream: await streamOf(options, io),
      folder: options.artifacts,
      arches: options.arch,
      target: options.output,
      isoExternal: options.isoExternal,
      released: options.released,
      allowMissing: options.allowMissing,
      download,
      force: options.force,
      base: options.base,
      containers: containersOf(options, io),
      ...workloadOf(options),
      engine: engineFor(options, io),
      cache,
      signal: io.signal,
      progress: progress.report,
    });
  }
  const architectures = report.architectures.map(({ recipes, engine }) => ({
    ...reportArchitecture(recipes),
    engine,
  }));
  if (options.json) {
    io.stdout.write(`${JSON.stringify({ type: 'bundle', path: report.bundle, architectures })}\n`);
    return;
  }
  const text = architectures.map((architecture) => {
    const { engine, detail } = architecture.engine;
    return `${renderArchitecture(architecture)}metal regenerated by ${engine}: ${detail}\n`;
  });
  io.stdout.write(printable(`${text.join('\n')}\nbundle ${report.bundle}: written and verified\n`));
}
