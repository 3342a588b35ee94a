import { Argument, type Command } from '@commander-js/extra-typings';
import { catalogueOf } from '../completion/catalogue.ts';
import { complete } from '../completion/complete.ts';
import { SCRIPTS, SHELLS } from '../completion/scripts.ts';
import { bundleOf } from '../environment.ts';
import type { CliIo } from '../io.ts';

/** The command that prints a shell's script, and the hidden one that this script calls. */
export function addCompletion(program: Command, io: CliIo): void {
  program
    .command('completion')
    .description('print a script with which a shell completes command lines')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .addHelpText('after', HELP)
    .action((shell) => {
      io.stdout.write(SCRIPTS[shell]);
    });
  program
    .command('complete', { hidden: true })
    .description('the continuations of a command line, for the scripts of `completion`')
    .argument('[words...]', 'the words of the line up to the cursor, without the program')
    .action(async (words) => {
      const catalogue = (bundle: string | undefined) => catalogueOf(bundleOf({ bundle }, io));
      const answer = await complete(program, words, catalogue);
      const lines = answer.words.map(({ word, description }) => `${word}\t${description}`);
      io.stdout.write(`${[answer.kind, ...lines].join('\n')}\n`);
    });
}

const HELP = `
Platforms, formats and architectures are those of the bundle that --bundle or $ISO_REHYDRATE_BUNDLE
names, if it is a folder.

Examples:
  source <(iso-rehydrate completion bash)               in ~/.bashrc
  source <(iso-rehydrate completion zsh)                in ~/.zshrc, after compinit
  iso-rehydrate completion fish | source                in ~/.config/fish/config.fish
  iso-rehydrate completion bash >/etc/bash_completion.d/iso-rehydrate    for all users`;
