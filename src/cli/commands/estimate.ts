import type { Command } from '@commander-js/extra-typings';
import { UnsupportedError } from '../../core/errors.ts';
import { formatBytes } from '../../core/text/bytes.ts';
import { printable } from '../../core/text/printable.ts';
import { renderTable } from '../../core/text/table.ts';
import { type Estimate, type EstimatedArtifact, estimate } from '../../verbs/estimate/estimate.ts';
import type { ContainersEstimate } from '../../verbs/estimate/lacking.ts';
import { containersOf } from '../containers.ts';
import { cacheFor } from '../environment.ts';
import type { CliIo } from '../io.ts';
import {
  type OptionsOf,
  streamOption,
  withCache,
  withContainers,
  withOutput,
} from '../option-groups.ts';
import { parseArches } from '../options.ts';
import { progressRenderer } from '../progress/choose.ts';
import { streamOf } from '../sources.ts';

function define(program: Command) {
  const command = program
    .command('estimate')
    .description('preview what dehydrate would download and cover')
    .addOption(streamOption())
    .option('--artifacts <dir>', 'folder that may already hold released files')
    .option('-a, --arch <names>', 'architectures (default: `all`)', parseArches)
    .addHelpText('after', HELP);
  const what = 'compare the files of the ISO with those of this container image or folder';
  return withOutput(withCache(withContainers(command, what)));
}

type Architecture = Estimate['architectures'][number];
type EstimateCliOptions = OptionsOf<typeof define>;

export function addEstimate(program: Command, io: CliIo): void {
  define(program).action((options) => run(options, io));
}

const HELP = `
Reads no image and downloads nothing. With --container, reads all files of the ISO, which must be
in the --artifacts folder, and of the container images, and reports the files that dehydrate would
put into the bundle because one of the images lacks them. Exits with code 5 if an artifact could not be covered,
for example because it is from a different release than the ISO. The schema of the JSON is
estimate.schema.json in the package.

Examples:
  iso-rehydrate estimate --stream stable.json
  iso-rehydrate estimate --stream release.json --artifacts release/ --arch x86_64,s390x
  iso-rehydrate estimate --stream stable.json --artifacts release/ --arch x86_64 \\
    --container quay.io/fedora/fedora-coreos:stable
  iso-rehydrate estimate --stream stable.json --json | \\
    jq -r '.architectures[].artifacts[] | select(.fileAt == "fetch").released.location'`;

async function run(options: EstimateCliOptions, io: CliIo): Promise<void> {
  const { stream } = await streamOf(options, io);
  const { arch: arches, artifacts: folder } = options;
  const made = await withFiles(options, io, (files) => estimate(stream, { arches, folder, files }));
  io.stdout.write(options.json ? `${JSON.stringify(made)}\n` : printable(render(made)));
  refuseUncovered(made);
}

async function withFiles<T>(
  options: EstimateCliOptions,
  io: CliIo,
  body: (files: ContainersEstimate | undefined) => Promise<T>,
): Promise<T> {
  const containers = containersOf(options, io);
  if (containers === undefined) return body(undefined);
  await using cache = await cacheFor(options, io);
  using progress = progressRenderer(options, io);
  return await body({ containers, cache, signal: io.signal, progress: progress.report });
}

function refuseUncovered({ architectures }: Estimate): void {
  const lines = architectures.flatMap(({ architecture, artifacts }) =>
    artifacts
      .filter(({ how }) => how === 'uncovered')
      .map(({ label, note }) => `${architecture} ${label}: ${note}`),
  );
  if (lines.length === 0) return;
  throw new UnsupportedError(
    `some artifacts cannot be covered
${lines.join('\n')}`,
    {
      code: 'ESTIMATE_UNCOVERED',
      hint: 'use a stream whose artifacts come from one build, or let dehydrate skip them with --allow-missing',
    },
  );
}

function render({ stream, architectures, unknownArchitectures }: Estimate): string {
  const sections = architectures.map(({ files, ...one }) => {
    const { architecture, release, artifacts, covered, fetch } = one;
    const head = `${architecture}  ${stream} ${release ?? 'without a live ISO'}\n`;
    const total = `${covered} of ${artifacts.length} artifacts can be covered, ${fetch} files to download\n`;
    return `${head}\n${renderTable(COLUMNS, artifacts)}\n${total}${files ? renderFiles(files) : ''}`;
  });
  const unknown = unknownArchitectures.map(
    (name) => `skipped ${name}: unknown architecture
`,
  );
  return [...sections, ...unknown].join('\n');
}

function renderFiles({ count, lacking }: NonNullable<Architecture['files']>): string {
  const { count: some, bytes, largest } = lacking;
  const head = `the containers have ${count - some} of the ${count} files of the ISO`;
  if (some === 0) return `${head}\n`;
  const lines = largest.map(({ path, size }) => `  ${path}: ${formatBytes(size)}\n`);
  return `${head}; the bundle would hold up to ${some} files (${formatBytes(bytes)}):\n${lines.join('')}`;
}

const WORDS: Readonly<Record<EstimatedArtifact['how'], string>> = {
  iso: 'the ISO itself',
  regenerated: 'regenerated',
  delta: 'delta',
  container: 'delta + container',
  encrypted: 'delta as large as the image',
  unknown: 'decided by its contents',
  uncovered: 'NOT COVERED',
};

const COLUMNS = [
  { title: 'ARTIFACT', cell: ({ label }: EstimatedArtifact) => label },
  { title: 'RELEASE', cell: ({ release }: EstimatedArtifact) => release },
  { title: 'HOW', cell: ({ how }: EstimatedArtifact) => WORDS[how] },
  { title: 'FROM', cell: ({ base }: EstimatedArtifact) => base ?? '-' },
  { title: 'CONTAINER', cell: ({ container }: EstimatedArtifact) => container ?? '-' },
  { title: 'FILE', cell: ({ fileAt }: EstimatedArtifact) => fileAt.replace('-', ' ') },
  { title: 'NOTE', cell: ({ note }: EstimatedArtifact) => note ?? '' },
];
