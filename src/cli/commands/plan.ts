import type { Command } from '@commander-js/extra-typings';
import { formatBytes } from '../../core/text/bytes.ts';
import { printable } from '../../core/text/printable.ts';
import { renderTable } from '../../core/text/table.ts';
import { ENGINES } from '../../engine/choose.ts';
import { planWork, type WorkPlan } from '../../verbs/plan/plan.ts';
import type { CliIo } from '../io.ts';
import {
  engineOption,
  withBundle,
  withCache,
  withOutput,
  withRegistry,
  withSelection,
} from '../option-groups.ts';
import { parseShards } from '../options.ts';
import { withSourced } from '../sources.ts';

export function addPlan(program: Command, io: CliIo): void {
  const command = program
    .command('plan')
    .description('show how --shard would split audit or rehydrate into jobs')
    .option('-n, --shards <n>', 'number of jobs', parseShards, 1)
    .addOption(engineOption(`engine that the jobs will use: ${ENGINES.join(', ')}`))
    .addHelpText('after', HELP);
  const selected = withRegistry(
    withCache(withBundle(withSelection(command, { everything: true }))),
  );
  withOutput(selected).action(async (options) => {
    const plan = await withSourced(options, io, async (bundle) =>
      planWork({
        bundle,
        arches: options.arch ?? 'all',
        selection: { platforms: options.platform ?? ['all'], formats: options.format },
        engine: options.engine ?? 'qemu',
        shards: options.shards,
      }),
    );
    io.stdout.write(options.json ? `${JSON.stringify(plan)}\n` : printable(render(plan)));
  });
}

const HELP = `
Each artifact is in exactly one job, the same on every host. EFFORT is the size of the
released files; jobs get equal shares of it, to within about one artifact.
In the JSON, \`shards\` is a matrix for GitHub Actions; the schema is plan.schema.json in
the package. Give the jobs the same --arch, --platform and --format as the plan.

Examples:
  iso-rehydrate plan --bundle bundle --shards 4
  iso-rehydrate plan -b bundle --arch all --platform all -n 4 --json | jq -c .shards`;

function render({ units, shards }: WorkPlan): string {
  const table = renderTable(
    [
      { title: 'SHARD', cell: ({ shard }) => shard },
      { title: 'ARCHITECTURE', cell: ({ architecture }) => architecture },
      { title: 'ENGINE', cell: ({ engine, disks }) => (disks.length > 0 ? engine : 'none') },
      { title: 'FETCH', align: 'right', cell: ({ fetch }) => formatBytes(fetch) },
      { title: 'SIZE', align: 'right', cell: ({ bytes }) => formatBytes(bytes) },
      { title: 'EFFORT', align: 'right', cell: ({ effort }) => formatBytes(effort) },
      {
        title: 'ARTIFACTS',
        cell: ({ artifacts, uncovered }) =>
          [...artifacts, ...uncovered.map((name) => `${name} (uncovered)`)].join(' '),
      },
    ],
    units,
  );
  if (shards.length === 1) return table;
  // A job may have parts of several architectures, and only its total was balanced.
  const totals = renderTable(
    [
      { title: 'JOB', cell: ({ shard }) => shard },
      { title: 'FETCH', align: 'right', cell: ({ fetch }) => formatBytes(fetch) },
      { title: 'SIZE', align: 'right', cell: ({ bytes }) => formatBytes(bytes) },
      { title: 'EFFORT', align: 'right', cell: ({ effort }) => formatBytes(effort) },
      { title: 'ARTIFACTS', align: 'right', cell: ({ artifacts }) => String(artifacts) },
    ],
    shards,
  );
  return `${table}\n${totals}`;
}
