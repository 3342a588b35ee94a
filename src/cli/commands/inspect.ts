import type { Command } from '@commander-js/extra-typings';
import { isBundle } from '../../bundle/read.ts';
import { printable } from '../../core/text/printable.ts';
import { inspect, inspectBundle, renderInspection } from '../../verbs/inspect/inspect.ts';
import { bundleName } from '../../verbs/transfer/bundle-source.ts';
import type { CliIo } from '../io.ts';
import { withCache, withOutput, withPolicy, withRegistry, withTrust } from '../option-groups.ts';
import { withSourced } from '../sources.ts';

export function addInspect(program: Command, io: CliIo): void {
  const command = program
    .command('inspect')
    .description('show what is in a bundle or live ISO, and what can be made from it')
    .argument(
      '<bundle|iso>',
      'bundle (a folder, an oci-archive or a registry reference), or an ISO',
    );
  withOutput(withPolicy(withTrust(withRegistry(withCache(command))))).action(
    async (path, options) => {
      const { signal } = io;
      const { kind } = await bundleName(path);
      const inspection =
        kind === 'folder' && !(await isBundle(path))
          ? await inspect(path, { signal })
          : await withSourced({ ...options, bundle: path }, io, inspectBundle);
      const text = options.json
        ? `${JSON.stringify(inspection, undefined, 2)}\n`
        : `${renderInspection(inspection).trimEnd()}\n`;
      io.stdout.write(printable(text));
    },
  );
}
