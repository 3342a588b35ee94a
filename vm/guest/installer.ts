import { quote } from './frame.ts';

/**
 * The osmet command of `coreos-installer` has different names and flags in different versions. These help
 * texts of the guest's version are tried, in this order.
 */
export const PROBES = [
  ['dev', 'extract', 'osmet'],
  ['osmet', 'unpack'],
] as const;

export type Subcommand = (typeof PROBES)[number];

/** Prints the help of one subcommand; fails where the installer does not know it. */
export function probeScript(subcommand: Subcommand): string {
  return `coreos-installer ${subcommand.join(' ')} --help`;
}

/** The words after `coreos-installer`, as a function of the three files involved. */
export type ExtractForm = (osmet: string, repo: string, device: string) => string[];

/**
 * Reads from a subcommand's help how it takes its osmet, repo and device.
 *
 * Known forms: `dev extract osmet --osmet PATH REPO DEV` (0.11 and later), `osmet unpack --osmet
 * PATH REPO DEV` and `osmet unpack --repo PATH OSMET DEV` (before). Positional arguments are always
 * the ones without an option, in the order osmet, repo, device, unless the usage line names them.
 *
 * @returns `undefined` if the help is not that of an osmet extraction
 */
export function readExtractForm(subcommand: Subcommand, help: string): ExtractForm | undefined {
  const usage = /usage:\s*(.+(?:\n +\S.*)*)/i.exec(help)?.[1];
  if (usage === undefined || !usage.includes(subcommand.join(' '))) return undefined;
  const has = (option: string) => new RegExp(`(?:^|[\\s\\[])--${option}\\b`, 'm').test(help);
  const options = (['osmet', 'repo', 'device'] as const).filter(has);
  const named = positionals(usage);
  const rest = (['osmet', 'repo', 'device'] as const).filter((role) => !options.includes(role));
  if (named.length !== rest.length) return undefined;
  const roles = orderByName(named, rest);
  return (osmet, repo, device) => {
    const value = { osmet, repo, device };
    return [
      ...subcommand,
      ...options.flatMap((option) => [`--${option}`, value[option]]),
      ...roles.map((role) => value[role]),
    ];
  };
}

type Role = 'osmet' | 'repo' | 'device';

/** `<REPO>`, `<DEV>`… of a usage line, without the values of its options. */
function positionals(usage: string): string[] {
  const withoutOptions = usage.replace(/--?[A-Za-z][\w-]*(?:[ =]<[^>]*>)?/g, '');
  return [...withoutOptions.matchAll(/<([^>]+)>/g)].map((match) => match[1] ?? '');
}

function orderByName(names: readonly string[], rest: readonly Role[]): Role[] {
  const byName = names.map((name): Role | undefined => {
    if (/osmet/i.test(name)) return 'osmet';
    if (/repo/i.test(name)) return 'repo';
    return /dev|dest/i.test(name) ? 'device' : undefined;
  });
  const left = rest.filter((role) => !byName.includes(role));
  return byName.map((role) => (role && rest.includes(role) ? role : left.shift())) as Role[];
}

export function installerCommand(form: ExtractForm, osmet: string, repo: string, device: string) {
  // `device` is a shell variable of the caller's script, so it alone is expanded.
  const words = form(osmet, repo, device);
  return ['coreos-installer', ...words.map((w) => (w === device ? `"${w}"` : quote(w)))].join(' ');
}
