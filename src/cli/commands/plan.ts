import { type Command, Option } from 'commander';
import { openBundle } from '../../bundle/read.ts';
import type { Arch } from '../../core/arch.ts';
import { formatBytes } from '../../core/text/bytes.ts';
import { printable } from '../../core/text/printable.ts';
import { renderTable } from '../../core/text/table.ts';
import { ENGINES, type EngineChoice } from '../../engine/choose.ts';
import { planWork, type WorkPlan } from '../../verbs/plan/plan.ts';
import { bundleOf } from '../environment.ts';
import type { CliIo } from '../io.ts';
import {
  addOutputOptions,
  addSelectionOptions,
  type OutputOptions,
  parseShards,
} from '../options.ts';

interface PlanCliOptions extends OutputOptions {
  readonly bundle?: string;
  readonly arch?: Arch[] | 'all';
  readonly platform?: string[];
  readonly format?: string[];
  readonly engine: EngineChoice;
  readonly shards: number;
}

export function addPlan(program: Command, io: CliIo): void {
  const command = program
    .command('plan')
    .description('tell how audit or rehydrate would be cut into jobs with --shard')
    .option('-n, --shards <n>', 'number of jobs', parseShards, 1)
    .addOption(
      new Option('--engine <kind>', 'what the jobs unpack the ISO with')
        .choices(ENGINES)
        .default('qemu'),
    )
    .addHelpText('after', HELP);
  addSelectionOptions(command, { everything: true, plain: true });
  addOutputOptions(command).action(async (options: PlanCliOptions) => {
    const plan = planWork({
      bundle: await openBundle(bundleOf(options, io)),
      arches: options.arch ?? 'all',
      selection: { platforms: options.platform ?? ['all'], formats: options.format },
      engine: options.engine,
      shards: options.shards,
    });
    io.stdout.write(options.json ? `${JSON.stringify(plan)}\n` : printable(render(plan)));
  });
}

const HELP = `
Each artifact is in exactly one job, the same on every host, and jobs are about equally large.
\`shards\` of the JSON is a matrix as GitHub Actions takes it; its schema is plan.schema.json
of the package. Give the jobs the same --arch, --platform and --format as the plan.

Examples:
  iso-rehydrate plan --bundle bundle --shards 4
  iso-rehydrate plan -b bundle --arch all --platform all -n 4 --json | jq -c .shards`;

function render({ units }: WorkPlan): string {
  return renderTable(
    [
      { title: 'SHARD', cell: ({ shard }) => shard },
      { title: 'ARCHITECTURE', cell: ({ architecture }) => architecture },
      { title: 'ENGINE', cell: ({ engine, disks }) => (disks.length > 0 ? engine : 'none') },
      { title: 'FETCH', align: 'right', cell: ({ fetch }) => formatBytes(fetch) },
      { title: 'SIZE', align: 'right', cell: ({ bytes }) => formatBytes(bytes) },
      {
        title: 'ARTIFACTS',
        cell: ({ artifacts, uncovered }) =>
          [...artifacts, ...uncovered.map((name) => `${name} (uncovered)`)].join(' '),
      },
    ],
    units,
  );
}
