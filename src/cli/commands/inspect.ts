import type { Command } from '@commander-js/extra-typings';
import { printable } from '../../core/text/printable.ts';
import { inspect, renderInspection } from '../../verbs/inspect/inspect.ts';
import type { CliIo } from '../io.ts';
import { withOutput } from '../option-groups.ts';

export function addInspect(program: Command, io: CliIo): void {
  const command = program
    .command('inspect')
    .description('show what is in a bundle or live ISO, and what can be made from it')
    .argument('<bundle|iso>', 'folder of a bundle, or an ISO file');
  withOutput(command).action(async (path, options) => {
    const inspection = await inspect(path, { signal: io.signal });
    const text = options.json
      ? `${JSON.stringify(inspection, undefined, 2)}\n`
      : `${renderInspection(inspection).trimEnd()}\n`;
    io.stdout.write(printable(text));
  });
}
