import type { Command } from '@commander-js/extra-typings';
import { openBundle } from '../../bundle/read.ts';
import { vouchersOf } from '../../bundle/trust.ts';
import { UsageError } from '../../core/errors.ts';
import { createHttp } from '../../core/http/client.ts';
import { formatBytes } from '../../core/text/bytes.ts';
import { openRegistry, type Registry } from '../../registry/client.ts';
import { findCredentials } from '../../registry/credentials.ts';
import { parseReference, type Reference, referenceText } from '../../registry/reference.ts';
import { pull } from '../../verbs/transfer/pull.ts';
import { push, type Transfer } from '../../verbs/transfer/push.ts';
import { bundleOf } from '../environment.ts';
import type { CliIo } from '../io.ts';
import {
  type OptionsOf,
  type OutputOptions,
  withBundle,
  withOutput,
  withPolicy,
  withRegistry,
  withSelection,
  withTrust,
} from '../option-groups.ts';
import { progressRenderer } from '../progress/choose.ts';
import { vetterOf } from '../trust.ts';

function definePush(program: Command) {
  const command = program
    .command('push')
    .description('push a bundle, or the part that some images need, to an OCI registry')
    .argument('<reference>', 'registry/name:tag')
    .option('--merge', 'keep the other architectures under this tag')
    .addHelpText('after', PUSH_HELP);
  const selected = withBundle(withSelection(command, { everything: true }));
  return withOutput(withRegistry(selected));
}

function definePull(program: Command) {
  const command = program
    .command('pull')
    .description('pull a bundle, or the part that some images need, from an OCI registry')
    .argument('<reference>', 'registry/name:tag, or registry/name@sha256:…')
    .option('-o, --output <dir>', 'where to put the bundle', 'bundle')
    .option('--without-iso', 'skip the ISOs; name your copies with --iso later')
    .option('--force', 'replace an existing bundle')
    .addHelpText('after', PULL_HELP);
  return withOutput(
    withPolicy(withTrust(withRegistry(withSelection(command, { everything: true })))),
  );
}

type PushCliOptions = OptionsOf<typeof definePush>;
type PullCliOptions = OptionsOf<typeof definePull>;
/** The options that both have. */
type RegistryCliOptions = Pick<PushCliOptions, keyof PushCliOptions & keyof PullCliOptions>;

export function addPush(program: Command, io: CliIo): void {
  definePush(program).action((reference, options) => runPush(reference, options, io));
}

export function addPull(program: Command, io: CliIo): void {
  definePull(program).action((reference, options) => runPull(reference, options, io));
}

const PUSH_HELP = `
Blobs that the registry already has are not sent again. Prints the reference by digest: sign that
one. A part of a bundle is a separate bundle: its index has a different digest, and its recipes do not
mention what was left out. --merge adds architectures to the index under the tag, without pulling
anything: all must come from the same stream JSON.

Examples:
  iso-rehydrate push --bundle bundle registry.example.com/coreos/bundle:42.20250101.3.0
  iso-rehydrate push registry.example.com/coreos/bundle:cloud --arch x86_64 --platform aws,gcp
  notation sign "$(iso-rehydrate push -b bundle registry.example.com/coreos/bundle:stable)"`;

const PULL_HELP = `
Interrupted downloads resume; blobs are hashed as they arrive. A second pull into the same folder
adds to it. The index keeps its digest, whichever part is pulled, so its signature stays valid.

Examples:
  iso-rehydrate pull registry.example.com/coreos/bundle:stable -o bundle
  iso-rehydrate pull registry.example.com/coreos/bundle:stable --arch s390x --platform ibmcloud
  iso-rehydrate pull registry.example.com/coreos/bundle@sha256:… --without-iso`;

async function runPush(text: string, options: PushCliOptions, io: CliIo): Promise<void> {
  const reference = parseReference(text);
  if (reference.digest !== undefined) {
    throw new UsageError('a push cannot choose its digest', {
      code: 'REFERENCE',
      hint: 'name a tag: registry.example.com/name:tag',
    });
  }
  const bundle = await openBundle(bundleOf(options, io), io.signal);
  const registry = await connect(reference, options, io);
  const { tag } = reference;
  const { signal } = io;
  using progress = progressRenderer(options, io);
  const made = await push({
    ...{ bundle, registry, tag, signal, progress: progress.report, ...selectionOf(options) },
    merge: options.merge,
  });
  tell('pushed', reference, made, options, io);
}

async function runPull(text: string, options: PullCliOptions, io: CliIo): Promise<void> {
  const reference = parseReference(text);
  const { digest, tag } = reference;
  using progress = progressRenderer(options, io);
  const vetted = await vetterOf(options, io)({ name: referenceText(reference), inRegistry: true });
  const vouchers = vouchersOf(vetted.trust);
  progress.report({ type: 'note', subject: 'trust', message: `vouched for by ${vouchers}` });
  const made = await pull({
    registry: await connect(reference, options, io),
    reference: digest ? `sha256:${digest}` : (tag ?? 'latest'),
    target: options.output,
    ...selectionOf(options),
    withoutIso: options.withoutIso,
    force: options.force,
    vetted,
    signal: io.signal,
    progress: progress.report,
  });
  tell('pulled', reference, made, options, io);
}

const selectionOf = ({ arch, platform, format }: RegistryCliOptions) => ({
  arches: arch ?? ('all' as const),
  selection: { platforms: platform ?? ['all'], formats: format },
});

async function connect(
  reference: Reference,
  { plainHttp, authfile }: RegistryCliOptions,
  io: CliIo,
): Promise<Registry> {
  const { env, signal } = io;
  const credentials = await findCredentials(reference, env, { authFile: authfile, signal });
  return openRegistry(reference, { credentials, plainHttp, http: createHttp({ env }), signal });
}

function tell(
  type: 'pushed' | 'pulled',
  { host, name }: Reference,
  made: Transfer,
  { json, quiet }: OutputOptions,
  io: CliIo,
): void {
  const reference = referenceText({ host, name, tag: undefined, digest: made.digest });
  io.stdout.write(json ? `${JSON.stringify({ type, reference, ...made })}\n` : `${reference}\n`);
  if (json || quiet) return;
  const { blobs, bytes, present } = made;
  io.stderr.write(`${type} ${blobs} blobs, ${formatBytes(bytes)}; ${present} were already there
`);
}
