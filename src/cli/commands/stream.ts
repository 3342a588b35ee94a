import type { Command } from 'commander';
import { type Bundle, openBundle, recipesFor } from '../../bundle/read.ts';
import type { Recipes } from '../../bundle/recipes.ts';
import type { Arch } from '../../core/arch.ts';
import { UsageError } from '../../core/errors.ts';
import { MAX_STREAM_BYTES } from '../../release/stream/read.ts';
import { bundleOf } from '../environment.ts';
import type { CliIo } from '../io.ts';
import { addOutputOptions, type OutputOptions, parseArches } from '../options.ts';

interface StreamCliOptions extends OutputOptions {
  readonly bundle?: string;
  readonly arch?: Arch[] | 'all';
}

export function addStream(program: Command, io: CliIo): void {
  const command = program
    .command('stream')
    .description('print the stream JSON that travels in a bundle, byte for byte')
    .option('-b, --bundle <dir>', 'bundle (default: $ISO_REHYDRATE_BUNDLE, else ./bundle)')
    .option('-a, --arch <name>', 'of this architecture, should they have several', parseArches)
    .addHelpText('after', HELP);
  addOutputOptions(command).action(async (options: StreamCliOptions) => {
    const bundle = await openBundle(bundleOf(options, io));
    const { stream } = chooseRecipes(bundle, options.arch ?? 'all');
    io.stdout.write(await bundle.readWholeBlob(stream, MAX_STREAM_BYTES, io.signal));
  });
}

const HELP = `
Its SHA-256 is checked. It is JSON whether --json is given or not.

Examples:
  iso-rehydrate stream --bundle bundle >stream.json
  iso-rehydrate stream -b bundle | jq '.architectures.x86_64.artifacts.qemu'`;

/** All architectures mostly have the same. */
function chooseRecipes(bundle: Bundle, arches: readonly Arch[] | 'all'): Recipes {
  const chosen = arches === 'all' ? bundle.recipes : arches.map((arch) => recipesFor(bundle, arch));
  const [first, ...others] = chosen;
  if (first && others.every(({ stream }) => stream.sha256 === first.stream.sha256)) return first;
  throw new UsageError('the architectures of the bundle have streams of their own', {
    code: 'STREAM_SEVERAL',
    context: { architectures: chosen.map(({ architecture }) => architecture).join(', ') },
    hint: 'choose one with --arch',
  });
}
