import { type Command, Option, type OptionValues } from '@commander-js/extra-typings';
import { ENGINES } from '../engine/choose.ts';
import { defaultJobs } from './jobs.ts';
import {
  collect,
  oneOf,
  parseArches,
  parseFactor,
  parseJobs,
  parseList,
  parseShard,
  parseSize,
} from './options.ts';

/*
 * Options that several commands share. Each group takes a command and returns it with the options, whose
 * types the command's action then knows.
 */

/** The options that the action of a command gets. */
// biome-ignore lint/suspicious/noExplicitAny: whatever the arguments are
export type OptionsOf<F extends (...args: any[]) => { opts(): unknown }> = ReturnType<
  ReturnType<F>['opts']
>;

type Any<A extends unknown[], O extends OptionValues> = Command<A, O>;

/** For every command. */
export const withOutput = <A extends unknown[], O extends OptionValues>(command: Any<A, O>) =>
  command
    .option('--json', 'print results as JSON, and progress as JSON lines on stderr')
    .option('-q, --quiet', 'show no progress')
    .option('--debug', 'show stack traces of errors');

export const withBundle = <A extends unknown[], O extends OptionValues>(command: Any<A, O>) =>
  command.option('-b, --bundle <dir>', 'bundle (default: $ISO_REHYDRATE_BUNDLE, else ./bundle)');

/** Which images of a bundle. */
export const withSelection = <A extends unknown[], O extends OptionValues>(
  command: Any<A, O>,
  { everything }: { readonly everything: boolean },
) => {
  const platforms = everything ? '`all` (default)' : '`all`';
  const arches = everything ? '`all` (default)' : "`all` (default: this host's)";
  return command
    .option('-p, --platform <names>', `platforms, comma-separated, or ${platforms}`, parseList)
    .option('-f, --format <names>', 'formats: raw, 4k.raw, iso, pxe, qcow2… or `all`', parseList)
    .option('-a, --arch <names>', `architectures, comma-separated, or ${arches}`, parseArches);
};

export const withShard = <A extends unknown[], O extends OptionValues>(command: Any<A, O>) =>
  command.option('--shard <i/n>', 'do only part i of n equal parts', parseShard);

export const withIso = <A extends unknown[], O extends OptionValues>(command: Any<A, O>) =>
  command.option(
    '--iso <file>',
    'use this copy of the ISO instead of the one in the bundle (repeat for each architecture)',
    collect,
  );

const ENGINE_WORDS =
  'qemu boots it, native reads it directly, both compares the two, auto tries native first';

export const engineOption = (description: string) =>
  new Option('--engine <kind>', `${description}: ${ENGINE_WORDS}`)
    .argParser(oneOf(ENGINES))
    .default('qemu' as const);

/** For commands that regenerate disks from an ISO. */
export const withEngine = <A extends unknown[], O extends OptionValues>(command: Any<A, O>) =>
  command
    .addOption(engineOption('how to unpack the ISO'))
    .addOption(
      new Option('--accel <kind>', 'accelerator for the VM: auto, kvm, tcg')
        .argParser(oneOf(['auto', 'kvm', 'tcg']))
        .default('auto' as const),
    )
    .option('--timeout-scale <factor>', 'multiply all time limits of the VM', parseFactor)
    .option('--log-dir <dir>', 'where to keep console logs of VMs that failed')
    .option('--cache-dir <dir>', 'where to keep regenerated disks')
    .addOption(
      new Option('--cache-size <size>', 'how much disk space the cache may use')
        .argParser(parseSize)
        .default(20 * 2 ** 30, '20GiB'),
    )
    .option('--no-cache', 'disable the cache');

export const withJobs = <A extends unknown[], O extends OptionValues>(command: Any<A, O>) =>
  command.option(
    '-j, --jobs <n>',
    'how many architectures to work on at a time',
    parseJobs,
    defaultJobs(),
  );

/** For commands that talk to a registry. */
export const withRegistry = <A extends unknown[], O extends OptionValues>(command: Any<A, O>) =>
  command
    .option('--plain-http', 'use HTTP, not HTTPS (the default for loopback addresses)')
    .option('--authfile <file>', 'file with the login, as skopeo, podman and docker write it');

/** A released description of a stream. */
export const streamOption = () =>
  new Option('--stream <file>', 'CoreOS stream or release JSON').makeOptionMandatory();

type None = Record<never, never>;

/** What the groups give, for code that several commands use. */
export type OutputOptions = ReturnType<ReturnType<typeof withOutput<[], None>>['opts']>;
export type EngineOptions = ReturnType<ReturnType<typeof withEngine<[], None>>['opts']>;
