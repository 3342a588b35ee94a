import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { UsageError } from '../core/errors.ts';
import { namesRepository } from '../verbs/transfer/bundle-source.ts';

interface Rule {
  /** Only for these commands; all of them if undefined. */
  readonly commands?: readonly string[];
  /** Options by the names of their values, or all but some. */
  readonly unused: readonly string[] | { readonly allBut: readonly string[] };
  readonly when: (options: Readonly<Record<string, unknown>>) => boolean;
  /** `--accel has no effect` … */
  readonly why: string;
}

/** Options that have no effect together with others: a user who gives them expects something that will not happen. */
const RULES: readonly Rule[] = [
  {
    // --log-dir is allowed: it promises logs of failed machines, and without machines there are none.
    unused: ['accel', 'timeoutScale'],
    when: ({ engine }) => engine === 'native',
    why: 'with --engine native, which starts no VM',
  },
  {
    unused: ['cacheDir', 'cacheSize'],
    when: ({ cache }) => cache === false,
    why: 'with --no-cache',
  },
  {
    commands: ['dehydrate'],
    unused: ['downloads'],
    when: ({ download }) => download === undefined,
    why: 'without --download',
  },
  {
    commands: ['audit'],
    unused: ['partKey'],
    when: ({ merge }) => merge === undefined,
    why: 'without --merge',
  },
  {
    commands: ['rehydrate', 'dehydrate', 'audit', 'serve', 'estimate'],
    unused: ['plainHttp', 'authfile'],
    when: (options) => !usesRegistry(options),
    why: 'without a registry in --bundle, --container or --iso',
  },
  {
    commands: ['estimate'],
    unused: ['cacheDir', 'cacheSize', 'cache'],
    when: ({ container }) => container === undefined,
    why: 'without --container',
  },
  {
    commands: ['rehydrate'],
    unused: ['force'],
    when: ({ output }) => output === '-',
    why: 'with -o -, which replaces no file',
  },
  {
    commands: ['audit'],
    unused: {
      allBut: [
        'merge',
        'report',
        'bundle',
        'signKey',
        'partKey',
        'json',
        'quiet',
        'debug',
        'color',
      ],
    },
    when: ({ merge }) => merge !== undefined,
    why: 'with --merge, which audits nothing itself',
  },
];

function usesRegistry({
  bundle,
  container,
  iso,
  stream,
}: Readonly<Record<string, unknown>>): boolean {
  const isos = Array.isArray(iso) ? iso.map(String) : [];
  return (
    container !== undefined ||
    isos.some((name) => name.startsWith('docker://')) ||
    String(stream ?? '').startsWith('docker://') ||
    namesRepository(String(bundle ?? ''))
  );
}

/** Throws UsageError `OPTION_UNUSED` if an option on the command line does nothing. */
export function refuseUnusedOptions(command: CommandUnknownOpts): void {
  const values = command.opts();
  const given = command.options.filter(
    (option) => command.getOptionValueSource(option.attributeName()) === 'cli',
  );
  for (const { commands, unused, when, why } of RULES) {
    if ((commands && !commands.includes(command.name())) || !when(values)) continue;
    const option = given.find((one) => {
      const name = one.attributeName();
      return 'allBut' in unused ? !unused.allBut.includes(name) : unused.includes(name);
    });
    if (option === undefined) continue;
    throw new UsageError(`${option.long ?? option.flags} has no effect ${why}`, {
      code: 'OPTION_UNUSED',
      hint: `leave ${option.long ?? option.flags} out`,
    });
  }
}
