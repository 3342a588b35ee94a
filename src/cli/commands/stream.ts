import type { Command } from '@commander-js/extra-typings';
import { type Bundle, recipesFor } from '../../bundle/read.ts';
import type { Recipes } from '../../bundle/recipes.ts';
import type { Arch } from '../../core/arch.ts';
import { UsageError } from '../../core/errors.ts';
import { MAX_STREAM_BYTES } from '../../release/stream/read.ts';
import type { CliIo } from '../io.ts';
import { withBundle, withCache, withOutput, withRegistry } from '../option-groups.ts';
import { parseArches } from '../options.ts';
import { withSourced } from '../sources.ts';

export function addStream(program: Command, io: CliIo): void {
  const command = program
    .command('stream')
    .description('print the stream JSON that travels in a bundle, byte for byte')
    .option('-a, --arch <name>', 'which architecture’s, if they differ', parseArches)
    .addHelpText('after', HELP);
  withOutput(withRegistry(withCache(withBundle(command)))).action((options) =>
    withSourced(options, io, async (bundle) => {
      const { stream } = chooseRecipes(bundle, options.arch ?? 'all');
      io.stdout.write(await bundle.readWholeBlob(stream, MAX_STREAM_BYTES, io.signal));
    }),
  );
}

const HELP = `
Its SHA-256 is checked. The output is JSON with or without --json.

Examples:
  iso-rehydrate stream --bundle bundle >stream.json
  iso-rehydrate stream -b bundle | jq '.architectures.x86_64.artifacts.qemu'`;

/** Usually all architectures have the same one. */
function chooseRecipes(bundle: Bundle, arches: readonly Arch[] | 'all'): Recipes {
  const chosen = arches === 'all' ? bundle.recipes : arches.map((arch) => recipesFor(bundle, arch));
  const [first, ...others] = chosen;
  if (first && others.every(({ stream }) => stream.sha256 === first.stream.sha256)) return first;
  throw new UsageError('the architectures of the bundle have different streams', {
    code: 'STREAM_SEVERAL',
    context: { architectures: chosen.map(({ architecture }) => architecture).join(', ') },
    hint: 'choose one with --arch',
  });
}
