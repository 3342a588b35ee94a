import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { UsageError } from '../core/errors.ts';
import { didYouMean } from '../core/text/suggest.ts';
import { addAudit } from './commands/audit.ts';
import { addCompletion } from './commands/completion.ts';
import { addDehydrate } from './commands/dehydrate.ts';
import { addEstimate } from './commands/estimate.ts';
import { addInspect } from './commands/inspect.ts';
import { addMerge } from './commands/merge.ts';
import { addPlan } from './commands/plan.ts';
import { addPull, addPush } from './commands/registry.ts';
import { addRehydrate } from './commands/rehydrate.ts';
import { addServe } from './commands/serve.ts';
import { addStream } from './commands/stream.ts';
import { EXIT_CODE_HELP } from './exit-code.ts';
import type { CliIo } from './io.ts';
import { refuseUnusedOptions } from './unused-options.ts';
import { version } from './version.ts';

/**
 * The grammar of the command line. Throws CommanderError instead of exiting, and prints the error unless the caller
 * will print it as `json`.
 */
export function createProgram(io: CliIo, { json }: { readonly json: boolean }): Command {
  const program = new Command('iso-rehydrate')
    .description(
      'Regenerate every CoreOS platform image, bit for bit, from the live ISO and a small bundle.',
    )
    .version(version(), '-V, --version')
    .addHelpText('after', `\n${EXAMPLES}\n\n${EXIT_CODE_HELP}`)
    .exitOverride()
    .showHelpAfterError('fix: see --help')
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => {
        if (!json) io.stderr.write(text);
      },
      getOutHelpWidth: () => 90,
      getErrHelpWidth: () => 90,
    })
    .hook('preAction', (_, command) => refuseUnusedOptions(command as CommandUnknownOpts));
  // Set before the commands are added, because they inherit it.
  addRehydrate(program, io);
  addDehydrate(program, io);
  addInspect(program, io);
  addAudit(program, io);
  addPlan(program, io);
  addStream(program, io);
  addEstimate(program, io);
  addServe(program, io);
  addMerge(program, io);
  addPush(program, io);
  addPull(program, io);
  addCompletion(program, io);
  return program;
}

/**
 * Throws UsageError `COMMAND_UNKNOWN` for a first word that looks like a command. The parser itself would
 * take it for an argument of the default command.
 */
export function refuseMistypedCommand(program: Command, [word = '-']: readonly string[]): void {
  const names = [...program.commands.map((command) => command.name()), 'help'];
  if (word.startsWith('-') || names.includes(word)) return;
  const meant = didYouMean(word, names);
  if (meant === undefined) return;
  throw new UsageError(`there is no command '${word}'`, {
    code: 'COMMAND_UNKNOWN',
    hint: `did you mean ${meant}? See --help`,
  });
}

const EXAMPLES = `Examples:
  iso-rehydrate --arch s390x --platform ibmcloud        from ./bundle into this folder
  iso-rehydrate -p qemu,aws -b /srv/bundle -o images/   several at once, one boot
  iso-rehydrate -p qemu -o - | zstd >qemu.qcow2.zst     one image on stdout
  iso-rehydrate -p metal --format pxe -o pxe/           the PXE kernel, initramfs and rootfs
  iso-rehydrate -p all -o images/ | sha256sum -c -      everything, checked twice
  iso-rehydrate dehydrate --stream stream.json --artifacts release/ -o bundle
  iso-rehydrate inspect bundle
  iso-rehydrate audit --bundle bundle --report audit    prove that every image comes out
  iso-rehydrate serve --bundle bundle                   serve images over HTTP, made on demand
  iso-rehydrate pull registry.example.com/coreos/bundle:stable --platform qemu`;
