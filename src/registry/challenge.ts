/** One login method that a server offers. */
export interface Challenge {
  /** In lower case: `basic`, `bearer`… */
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/**
 * The challenges of `WWW-Authenticate` headers (RFC 9110, 11.6.1): several in one header or in several, with quoted and
 * bare values, space around `=`, and stray commas. What a bare value may hold is read as clients do: anything up to a
 * comma or a space, because registries omit quotes around URLs. Unreadable parts are skipped.
 */
export function parseChallenges(headers: readonly string[]): Challenge[] {
  return headers.flatMap((header) => [...challengesIn(header.slice(0, LONGEST))]);
}

/** No server needs more, and parsing time stays linear. */
const LONGEST = 64 << 10;

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const SEPARATOR = /[\s,]*/y;
const PARAMETER = new RegExp(`(${TOKEN})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s,"]*))`, 'ys');
const SCHEME = new RegExp(`(${TOKEN})(?=[\\s,]|$)`, 'y');
/** Everything up to the next comma: a `token68`, or junk. */
const REST = /[^,]*/y;

function* challengesIn(header: string): Generator<Challenge> {
  let at = 0;
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const found = pattern.exec(header);
    if (found) at += found[0].length;
    return found;
  };
  let current: { scheme: string; parameters: Map<string, string> } | undefined;
  for (;;) {
    take(SEPARATOR);
    if (at >= header.length) break;
    const parameter = take(PARAMETER);
    if (parameter) {
      const [, name = '', quoted, bare = ''] = parameter;
      const value = quoted?.replace(/\\(.)/gs, '$1') ?? bare;
      const key = name.toLowerCase();
      if (current && !current.parameters.has(key)) current.parameters.set(key, value);
      continue;
    }
    const scheme = take(SCHEME);
    if (scheme) {
      if (current) yield current;
      current = { scheme: (scheme[1] ?? '').toLowerCase(), parameters: new Map() };
      continue;
    }
    if ((take(REST)?.[0].length ?? 0) === 0) at++;
  }
  if (current) yield current;
}
