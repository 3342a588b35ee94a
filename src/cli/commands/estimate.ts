import type { Command } from '@commander-js/extra-typings';
import { UnsupportedError } from '../../core/errors.ts';
import { printable } from '../../core/text/printable.ts';
import { renderTable } from '../../core/text/table.ts';
import { type Estimate, type EstimatedArtifact, estimate } from '../../verbs/estimate/estimate.ts';
import type { CliIo } from '../io.ts';
import { type OptionsOf, streamOption, withOutput, withRegistry } from '../option-groups.ts';
import { parseArches } from '../options.ts';
import { streamOf } from '../sources.ts';

function define(program: Command) {
  const command = program
    .command('estimate')
    .description('preview what dehydrate would download and cover')
    .addOption(streamOption())
    .option('--artifacts <dir>', 'folder that may already hold released files')
    .option('-a, --arch <names>', 'architectures, or `all`, the default', parseArches)
    .addHelpText('after', HELP);
  return withOutput(withRegistry(command));
}

type EstimateCliOptions = OptionsOf<typeof define>;

export function addEstimate(program: Command, io: CliIo): void {
  define(program).action((options) => run(options, io));
}

const HELP = `
Reads no image and downloads nothing. Exits with code 5 if an artifact could not be covered,
for example because it is from another release than the ISO. The schema of the JSON is
estimate.schema.json in the package.

Examples:
  iso-rehydrate estimate --stream stable.json
  iso-rehydrate estimate --stream release.json --artifacts release/ --arch x86_64,s390x
  iso-rehydrate estimate --stream stable.json --json | \\
    jq -r '.architectures[].artifacts[] | select(.fileAt == "fetch").released.location'`;

async function run(options: EstimateCliOptions, io: CliIo): Promise<void> {
  const { stream } = await streamOf(options, io);
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
  const sections = architectures.map(({ architecture, release, artifacts, covered, fetch }) => {
    const head = `${architecture}  ${stream} ${release ?? 'without a live ISO'}\n`;
    const total = `${covered} of ${artifacts.length} artifacts can be covered, ${fetch} files to download\n`;
    return `${head}\n${renderTable(COLUMNS, artifacts)}\n${total}`;
  });
  const unknown = unknownArchitectures.map(
    (name) => `skipped ${name}: unknown architecture
`,
  );
  return [...sections, ...unknown].join('\n');
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
