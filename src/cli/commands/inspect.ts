import type { Command } from '@commander-js/extra-typings';
import { isBundle } from '../../bundle/read.ts';
import { UsageError } from '../../core/errors.ts';
import { printable } from '../../core/text/printable.ts';
import { inspectHost } from '../../verbs/inspect/host-report.ts';
import {
  type Inspection,
  inspect,
  inspectBundle,
  renderInspection,
} from '../../verbs/inspect/inspect.ts';
import { bundleName } from '../../verbs/transfer/bundle-source.ts';
import type { CliIo } from '../io.ts';
import {
  type CacheOptions,
  type TrustOptions,
  withCache,
  withOutput,
  withPolicy,
  withRegistry,
  withTrust,
} from '../option-groups.ts';
import { type RegistryOptions, withSourced } from '../sources.ts';

export function addInspect(program: Command, io: CliIo): void {
  const command = program
    .command('inspect')
    .description('show what is in a bundle or live ISO, and what can be made from it')
    .argument(
      '[bundle|iso]',
      'bundle (a folder, an oci-archive or a registry reference), or an ISO',
    )
    .option('--host', 'show what this host offers: QEMU, KVM, and how QEMU is confined');
  withOutput(withPolicy(withTrust(withRegistry(withCache(command))))).action(
    async (path, options) => {
      const inspection = options.host ? await hostAlone(path) : await inspected(path, options, io);
      const text = options.json
        ? `${JSON.stringify(inspection, undefined, 2)}\n`
        : `${renderInspection(inspection).trimEnd()}\n`;
      io.stdout.write(printable(text));
    },
  );
}

type Options = RegistryOptions & CacheOptions & TrustOptions;

async function inspected(path: string | undefined, options: Options, io: CliIo) {
  if (path === undefined) {
    throw new UsageError('missing required argument: a bundle or an ISO', {
      code: 'COMMAND_LINE',
      hint: 'name a bundle or an ISO; `iso-rehydrate inspect --host` is about this host',
    });
  }
  const { kind } = await bundleName(path);
  if (kind === 'folder' && !(await isBundle(path))) return inspect(path, { signal: io.signal });
  return withSourced({ ...options, bundle: path }, io, inspectBundle);
}

async function hostAlone(path: string | undefined): Promise<Inspection> {
  if (path === undefined) return { kind: 'host', host: await inspectHost() };
  throw new UsageError('--host is about this host, not about a bundle or an ISO', {
    code: 'OPTION_UNUSED',
    hint: 'leave one of them out',
  });
}
