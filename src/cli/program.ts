import { Command } from 'commander';
import { addAudit } from './commands/audit.ts';
import { addDehydrate } from './commands/dehydrate.ts';
import { addEstimate } from './commands/estimate.ts';
import { addInspect } from './commands/inspect.ts';
import { addPlan } from './commands/plan.ts';
import { addPull, addPush } from './commands/registry.ts';
import { addRehydrate } from './commands/rehydrate.ts';
import { addServe } from './commands/serve.ts';
import { addStream } from './commands/stream.ts';
import { EXIT_CODE_HELP } from './exit-code.ts';
import type { CliIo } from './io.ts';
import { version } from './version.ts';

/** The command line's grammar. Throws CommanderError instead of exiting, after saying why. */
export function createProgram(io: CliIo): Command {
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
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => 90,
      getErrHelpWidth: () => 90,
    });
  // Before the commands are added: they inherit these settings.
  addRehydrate(program, io);
  addDehydrate(program, io);
  addInspect(program, io);
  addAudit(program, io);
  addPlan(program, io);
  addStream(program, io);
  addEstimate(program, io);
  addServe(program, io);
  addPush(program, io);
  addPull(program, io);
  return program;
}

const EXAMPLES = `Examples:
  iso-rehydrate --arch s390x --platform ibmcloud        from ./bundle into this folder
  iso-rehydrate -p qemu,aws -b /srv/bundle -o images/   several at once, one boot
  iso-rehydrate -p qemu -o - | qemu-img info -          one image on stdout
  iso-rehydrate -p metal --format pxe -o pxe/           the PXE kernel, initramfs and rootfs
  iso-rehydrate -p all -o images/ | sha256sum -c -      everything, checked twice
  iso-rehydrate dehydrate --stream stream.json --artifacts release/ -o bundle
  iso-rehydrate inspect bundle
  iso-rehydrate audit --bundle bundle --report audit    is it what was released?
  iso-rehydrate serve --bundle bundle                   images by HTTP, made on demand
  iso-rehydrate pull registry.example.com/coreos/bundle:stable --platform qemu`;
