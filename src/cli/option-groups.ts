import { type Command, Option, type OptionValues } from '@commander-js/extra-typings';
import { ENGINES } from '../engine/choose.ts';
import { parseFingerprint } from '../release/download/signature.ts';
import { VERIFIERS } from '../verbs/trust/policy.ts';
import { COLOR } from './color.ts';
import {
  collect,
  oneOf,
  parseArches,
  parseDigest,
  parseFactor,
  parseFormats,
  parseJobs,
  parsePlatforms,
  parseShard,
  parseSize,
} from './options.ts';

/*
 * Options that several commands share. Each group takes a command and returns it with its options, whose
 * types the command's action then knows.
 */

/** The options that the action of a command gets. */
// biome-ignore lint/suspicious/noExplicitAny: whatever the arguments are
export type OptionsOf<F extends (...args: any[]) => { opts(): unknown }> = ReturnType<
  ReturnType<F>['opts']
>;

/** For every command. */
export const withOutput = <A extends unknown[], O extends OptionValues>(command: Command<A, O>) =>
  command
    .option('--json', 'results as JSON on stdout, progress as JSON lines on stderr')
    .option('-q, --quiet', 'no progress; with --json, notes and failures only')
    .option('--debug', 'show stack traces of errors')
    .option(
      '--color <when>',
      'colours on stderr: auto, always or never (default: auto; see NO_COLOR)',
      oneOf(COLOR),
    );

export const withBundle = <A extends unknown[], O extends OptionValues>(command: Command<A, O>) =>
  command.option(
    '-b, --bundle <name>',
    'folder, oci-archive or registry reference (default: $ISO_REHYDRATE_BUNDLE, else ./bundle)',
  );

/** Which images of a bundle: by default `everything`; otherwise none, and of this host's architecture. */
export const withSelection = <A extends unknown[], O extends OptionValues>(
  command: Command<A, O>,
  { everything }: { readonly everything: boolean },
) => {
  const platforms = everything ? '`all`, the default' : '`all`';
  const arches = everything ? '`all`, the default' : "`all` (default: this host's)";
  return command
    .option('-p, --platform <names>', `platforms, comma separated, or ${platforms}`, parsePlatforms)
    .option('-f, --format <names>', 'formats: raw, 4k.raw, iso, pxe, qcow2… or `all`', parseFormats)
    .option('-a, --arch <names>', `architectures, or ${arches}`, parseArches);
};

export const withShard = <A extends unknown[], O extends OptionValues>(command: Command<A, O>) =>
  command.option('--shard <i/n>', 'do only the i-th of n equal parts', parseShard);

export const withIso = <A extends unknown[], O extends OptionValues>(command: Command<A, O>) =>
  command.option(
    '--iso <source>',
    'use this ISO, not the bundle’s: a file, a folder of ISOs, a URL, or docker://IMAGE (repeatable)',
    collect,
  );

/** For commands that may take files from container images; `what` describes --container. */
export const withContainers = <A extends unknown[], O extends OptionValues>(
  command: Command<A, O>,
  what = 'take files from this container image, OSTree repository or folder, not the ISO',
) =>
  command
    .option('--container <name>', what, collect)
    .option('--plain-http', 'use HTTP instead of HTTPS for registries')
    .option('--authfile <file>', 'login for registries, as skopeo, podman and docker write it');

/** For commands that check the release's signatures; `what` says when. */
export const withKeyring = <A extends unknown[], O extends OptionValues>(
  command: Command<A, O>,
  what = 'check the signature of the release, which the bundle carries, with these keys (gpgv)',
) =>
  command
    .option('--keyring <file>', what)
    .option(
      '--accept-key <fingerprint>',
      'accept signatures by this key even if it is expired or revoked (repeatable)',
      (text: string, previous: readonly string[] = []) => [...previous, parseFingerprint(text)],
    );

/** Without a default, so that it is known whether the engine was chosen. */
export const engineOption = (description: string) =>
  new Option('--engine <kind>', `${description} (default: qemu)`).argParser(oneOf(ENGINES));

/** For commands that regenerate disks from an ISO; they keep them in a cache, so see {@link withCache}. */
export const withEngine = <A extends unknown[], O extends OptionValues>(command: Command<A, O>) =>
  command
    .addOption(
      engineOption(
        '`qemu` boots the ISO; `native` reads it directly; `both` compares them; `auto` tries native first',
      ),
    )
    .addOption(
      new Option('--accel <kind>', 'virtual machine accelerator: auto, kvm or tcg')
        .argParser(oneOf(['auto', 'kvm', 'tcg']))
        .default('auto' as const, 'auto'),
    )
    .option(
      '--timeout-scale <factor>',
      'multiply all time limits of the virtual machine',
      parseFactor,
    )
    .option('--log-dir <dir>', 'folder for console logs of failed virtual machines');

export const withCache = <A extends unknown[], O extends OptionValues>(command: Command<A, O>) =>
  command
    .option('--cache-dir <dir>', 'folder for regenerated disks and downloads')
    .addOption(
      new Option('--cache-size <size>', 'maximum size of the cache')
        .argParser(parseSize)
        .default(20 * 2 ** 30, '20GiB'),
    )
    .option('--no-cache', 'disable the cache');

export const withJobs = <A extends unknown[], O extends OptionValues>(command: Command<A, O>) =>
  command
    .option(
      '-j, --jobs <n>',
      'artifacts to work on at a time (default: one per core, if they fit into --memory)',
      parseJobs,
    )
    .option(
      '--memory <size>',
      "memory to stay within, without virtual machines (default: a quarter of the host's)",
      parseSize,
    );

/** For commands that talk to a registry. */
export const withRegistry = <A extends unknown[], O extends OptionValues>(command: Command<A, O>) =>
  command
    .option('--plain-http', 'use HTTP instead of HTTPS (the default for loopback addresses)')
    .option('--authfile <file>', 'login file, as written by skopeo, podman and docker');

/** Evidence that a bundle needs before it is trusted. */
export const withTrust = <A extends unknown[], O extends OptionValues>(command: Command<A, O>) =>
  command
    .option(
      '--trust <file|url>',
      'stream or release JSON that you trust: images whose digest is not in it are refused (repeatable)',
      collect,
    )
    .addOption(
      new Option(
        '--expect <digest>',
        'digest that the index of the bundle must have: sha256:…',
      ).argParser(parseDigest),
    );

/** Further evidence: a signature of the bundle, or the policy of a site. */
export const withPolicy = <A extends unknown[], O extends OptionValues>(command: Command<A, O>) =>
  command
    .addOption(
      new Option('--verify <tool>', 'have notation or cosign verify the signature first').argParser(
        oneOf(VERIFIERS),
      ),
    )
    .option('--verify-key <file>', 'public key for --verify cosign')
    .option('--policy <file>', 'trust policy (default: trust.json in the configuration folder)');

export const streamOption = () =>
  new Option(
    '--stream <source>',
    'stream or release JSON: a file, a URL, stable, testing, next, or docker://IMAGE that holds it',
  ).makeOptionMandatory();

type None = Record<never, never>;

/** The values of the option groups, for code that several commands share. */
export type OutputOptions = ReturnType<ReturnType<typeof withOutput<[], None>>['opts']>;
export type TrustOptions = ReturnType<ReturnType<typeof withTrust<[], None>>['opts']> &
  ReturnType<ReturnType<typeof withPolicy<[], None>>['opts']>;
export type CacheOptions = ReturnType<ReturnType<typeof withCache<[], None>>['opts']>;
export type EngineOptions = ReturnType<ReturnType<typeof withEngine<[], None>>['opts']> &
  CacheOptions;
export type KeyringOptions = ReturnType<ReturnType<typeof withKeyring<[], None>>['opts']>;
export type ContainerOptions = ReturnType<ReturnType<typeof withContainers<[], None>>['opts']>;
