import type { Command } from 'commander';
import { openBundle } from '../../bundle/read.ts';
import type { Arch } from '../../core/arch.ts';
import { UsageError } from '../../core/errors.ts';
import { formatBytes } from '../../core/text/bytes.ts';
import { openRegistry, type Registry } from '../../registry/client.ts';
import { findCredentials } from '../../registry/credentials.ts';
import { parseReference, type Reference, referenceText } from '../../registry/reference.ts';
import { pull } from '../../verbs/transfer/pull.ts';
import { push, type Transfer } from '../../verbs/transfer/push.ts';
import { bundleOf } from '../environment.ts';
import type { CliIo } from '../io.ts';
import { addOutputOptions, addSelectionOptions, type OutputOptions } from '../options.ts';
import { progressRenderer } from '../progress/choose.ts';

interface RegistryCliOptions extends OutputOptions {
  readonly plainHttp?: true;
  readonly authfile?: string;
  readonly arch?: Arch[] | 'all';
  readonly platform?: string[];
  readonly format?: string[];
}

interface PushCliOptions extends RegistryCliOptions {
  readonly bundle?: string;
}

interface PullCliOptions extends RegistryCliOptions {
  readonly output: string;
  readonly withoutIso?: true;
  readonly force?: true;
}

export function addPush(program: Command, io: CliIo): void {
  const command = program
    .command('push')
    .description('push a bundle, or what some images of it need, to an OCI registry')
    .argument('<reference>', 'registry/name:tag')
    .addHelpText('after', PUSH_HELP);
  addSelectionOptions(command, { everything: true, plain: true });
  addRegistryOptions(command).action((reference: string, options: PushCliOptions) =>
    runPush(reference, options, io),
  );
}

export function addPull(program: Command, io: CliIo): void {
  const command = program
    .command('pull')
    .description('pull a bundle, or what some images of it need, from an OCI registry')
    .argument('<reference>', 'registry/name:tag, or registry/name@sha256:…')
    .option('-o, --output <dir>', 'where to put the bundle', 'bundle')
    .option('--without-iso', 'leave the ISOs out; name yours with --iso later')
    .option('--force', 'replace another bundle that is there')
    .addHelpText('after', PULL_HELP);
  addSelectionOptions(command, { everything: true, elsewhere: true });
  addRegistryOptions(command).action((reference: string, options: PullCliOptions) =>
    runPull(reference, options, io),
  );
}

function addRegistryOptions(command: Command): Command {
  command
    .option('--plain-http', 'HTTP instead of HTTPS (loopback addresses have it anyway)')
    .option('--authfile <file>', 'login, as skopeo, podman and docker write it');
  return addOutputOptions(command);
}

const PUSH_HELP = `
What the registry has is not sent again. Prints the reference by digest, which is what to sign. A
part of a bundle is a bundle of its own: its index has another digest, and what was left out is not
in its recipes.

Examples:
  iso-rehydrate push --bundle bundle registry.example.com/coreos/bundle:42.20250101.3.0
  iso-rehydrate push registry.example.com/coreos/bundle:cloud --arch x86_64 --platform aws,gcp
  notation sign "$(iso-rehydrate push -b bundle registry.example.com/coreos/bundle:stable)"`;

const PULL_HELP = `
Blobs are resumed, and hashed as they arrive. A second pull into the same folder adds to it. The
index keeps its digest, whatever part is pulled, so a signature of it still holds.

Examples:
  iso-rehydrate pull registry.example.com/coreos/bundle:stable -o bundle
  iso-rehydrate pull registry.example.com/coreos/bundle:stable --arch s390x --platform ibmcloud
  iso-rehydrate pull registry.example.com/coreos/bundle@sha256:… --without-iso`;

async function runPush(text: string, options: PushCliOptions, io: CliIo): Promise<void> {
  const reference = parseReference(text);
  if (reference.digest !== undefined) {
    throw new UsageError('a digest cannot be chosen', {
      code: 'REFERENCE',
      hint: 'name a tag: registry.example.com/name:tag',
    });
  }
  const bundle = await openBundle(bundleOf(options, io));
  const registry = await connect(reference, options, io);
  const { tag } = reference;
  const { signal } = io;
  using progress = progressRenderer(options, io);
  const made = await push({
    ...{ bundle, registry, tag, signal, progress: progress.report, ...selectionOf(options) },
  });
  tell('pushed', reference, made, options, io);
}

async function runPull(text: string, options: PullCliOptions, io: CliIo): Promise<void> {
  const reference = parseReference(text);
  const { digest, tag } = reference;
  using progress = progressRenderer(options, io);
  const made = await pull({
    registry: await connect(reference, options, io),
    reference: digest ? `sha256:${digest}` : (tag ?? 'latest'),
    target: options.output,
    ...selectionOf(options),
    withoutIso: options.withoutIso,
    force: options.force,
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
  return openRegistry(reference, { credentials, plainHttp, signal });
}

function tell(
  type: 'pushed' | 'pulled',
  { host, name }: Reference,
  made: Transfer,
  { json, quiet }: RegistryCliOptions,
  io: CliIo,
): void {
  const reference = referenceText({ host, name, tag: undefined, digest: made.digest });
  io.stdout.write(json ? `${JSON.stringify({ type, reference, ...made })}\n` : `${reference}\n`);
  if (json || quiet) return;
  const { blobs, bytes, present } = made;
  io.stderr.write(`${type} ${blobs} blobs, ${formatBytes(bytes)}; ${present} were there already\n`);
}
