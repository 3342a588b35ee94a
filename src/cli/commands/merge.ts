import type { Command } from '@commander-js/extra-typings';
import { blobsFor } from '../../bundle/work.ts';
import { UsageError } from '../../core/errors.ts';
import { merge } from '../../verbs/merge/merge.ts';
import { cacheFor, existingFolder } from '../environment.ts';
import type { CliIo } from '../io.ts';
import {
  type OptionsOf,
  withCache,
  withOutput,
  withPolicy,
  withRegistry,
  withTrust,
} from '../option-groups.ts';
import { progressRenderer } from '../progress/choose.ts';
import { downloadsTo, openSourced } from '../sources.ts';

function define(program: Command) {
  const command = program
    .command('merge')
    .description('merge bundles of several architectures into one')
    .argument('<bundles...>', 'folders, oci-archives or registry references')
    .requiredOption('-o, --output <dir>', 'where to write the bundle')
    .option('--force', 'replace an existing bundle')
    .addHelpText('after', HELP);
  return withOutput(withPolicy(withTrust(withRegistry(withCache(command)))));
}

type MergeCliOptions = OptionsOf<typeof define>;

export function addMerge(program: Command, io: CliIo): void {
  define(program).action((bundles, options) => run(bundles, options, io));
}

const HELP = `
For release jobs that run dehydrate for each architecture on a host of its own. All must come
from the same stream JSON. The result has the same bytes as the bundle of a single job.
\`push --merge\` does the same in a registry, without pulling anything.

Example:
  iso-rehydrate merge bundle-x86_64 bundle-s390x -o bundle`;

async function run(names: readonly string[], options: MergeCliOptions, io: CliIo): Promise<void> {
  const { signal } = io;
  if (options.expect !== undefined && names.length > 1) {
    throw new UsageError('--expect names one index, and there are several bundles', {
      code: 'OPTION_UNUSED',
      hint: 'leave --expect out, and name the bundles by their digests',
    });
  }
  await using cache = await cacheFor(options, io, await existingFolder(options.output));
  using progress = progressRenderer(options, io);
  await using downloads = downloadsTo(cache);
  const bundles = [];
  for (const bundle of names) {
    const sourced = await openSourced({ ...options, bundle }, io, downloads, progress.report);
    const { recipes } = sourced.bundle;
    await sourced.obtain(
      blobsFor(recipes.map((one) => ({ recipes: one, artifacts: one.artifacts }))),
    );
    bundles.push(sourced.bundle);
  }
  const { digest, architectures } = await merge({
    ...{ bundles, target: options.output, force: options.force, signal },
    progress: progress.report,
  });
  const merged = architectures.map(({ architecture }) => architecture);
  io.stdout.write(
    options.json
      ? `${JSON.stringify({ type: 'merged', bundle: options.output, digest, architectures: merged })}\n`
      : `${options.output}: ${merged.join(', ')}, sha256:${digest}\n`,
  );
}
