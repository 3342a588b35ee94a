import type { Command } from 'commander';
import type { Arch } from '../../core/arch.ts';
import { UnsupportedError } from '../../core/errors.ts';
import { printable } from '../../core/text/printable.ts';
import { renderTable } from '../../core/text/table.ts';
import { readStream } from '../../release/stream/read.ts';
import { type Estimate, type EstimatedArtifact, estimate } from '../../verbs/estimate/estimate.ts';
import type { CliIo } from '../io.ts';
import { addOutputOptions, type OutputOptions, parseArches } from '../options.ts';

interface EstimateCliOptions extends OutputOptions {
  readonly stream: string;
  readonly artifacts?: string;
  readonly arch?: Arch[] | 'all';
}

export function addEstimate(program: Command, io: CliIo): void {
  const command = program
    .command('estimate')
    .description('tell beforehand what dehydrate would fetch, cover, and how')
    .requiredOption('--stream <file>', 'CoreOS stream or release JSON')
    .option('--artifacts <dir>', 'folder where released files may lie already')
    .option('-a, --arch <names>', 'architectures, or `all`, the default', parseArches)
    .addHelpText('after', HELP);
  addOutputOptions(command).action((options: EstimateCliOptions) => run(options, io));
}

const HELP = `
Reads no image and fetches nothing. Ends with exit code 5 if an artifact could not be covered,
because its release is not the ISO's, for example. The JSON's schema is estimate.schema.json
of the package.

Examples:
  iso-rehydrate estimate --stream stable.json
  iso-rehydrate estimate --stream release.json --artifacts release/ --arch x86_64,s390x
  iso-rehydrate estimate --stream stable.json --json | \\
    jq -r '.architectures[].artifacts[] | select(.fileAt == "fetch").released.location'`;

async function run(options: EstimateCliOptions, io: CliIo): Promise<void> {
  const { stream } = await readStream(options.stream);
  const { arch: arches, artifacts: folder } = options;
  const made = await estimate(stream, { arches, folder });
  io.stdout.write(options.json ? `${JSON.stringify(made)}\n` : printable(render(made)));
  refuseUncovered(made);
}

function refuseUncovered({ architectures }: Estimate): void {
  const lines = architectures.flatMap(({ architecture, artifacts }) =>
    artifacts
      .filter(({ how }) => how === 'uncovered')
      .map(({ label, note }) => `${architecture} ${label}: ${note}`),
  );
  if (lines.length === 0) return;
  throw new UnsupportedError(`not all would be covered\n${lines.join('\n')}`, {
    code: 'ESTIMATE_UNCOVERED',
    hint: 'use a stream whose artifacts are of one build, or allow their absence with --allow-missing',
  });
}

function render({ stream, architectures, unknownArchitectures }: Estimate): string {
  const sections = architectures.map(({ architecture, release, artifacts, covered, fetch }) => {
    const head = `${architecture}  ${stream} ${release ?? 'without a live ISO'}\n`;
    const total = `${covered} of ${artifacts.length} artifacts can be covered, ${fetch} files to fetch\n`;
    return `${head}\n${renderTable(COLUMNS, artifacts)}\n${total}`;
  });
  const unknown = unknownArchitectures.map((name) => `left out ${name}: not known\n`);
  return [...sections, ...unknown].join('\n');
}

const WORDS: Readonly<Record<EstimatedArtifact['how'], string>> = {
  iso: 'the ISO itself',
  regenerated: 'regenerated',
  delta: 'delta',
  container: 'delta + container',
  encrypted: 'delta as large as the image',
  unknown: 'by its bytes',
  uncovered: 'NOT COVERED',
};

const COLUMNS = [
  { title: 'ARTIFACT', cell: ({ label }: EstimatedArtifact) => label },
  { title: 'RELEASE', cell: ({ release }: EstimatedArtifact) => release },
  { title: 'HOW', cell: ({ how }: EstimatedArtifact) => WORDS[how] },
  { title: 'FROM', cell: ({ base }: EstimatedArtifact) => base ?? '-' },
  { title: 'CONTAINER', cell: ({ container }: EstimatedArtifact) => container ?? '-' },
  { title: 'ITS FILE', cell: ({ fileAt }: EstimatedArtifact) => fileAt.replace('-', ' ') },
  { title: 'NOTE', cell: ({ note }: EstimatedArtifact) => note ?? '' },
];
