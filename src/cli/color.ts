import type { CliIo } from './io.ts';

export const COLOR = ['auto', 'always', 'never'] as const;

type Style = 'error' | 'fix';
/** Colours text for a terminal, or leaves it alone. */
export type Paint = (style: Style, text: string) => string;

/** ECMA-48, "select graphic rendition": bold red, and cyan. */
const CODES: Readonly<Record<Style, string>> = { error: '1;31', fix: '36' };

export const plain: Paint = (_, text) => text;
const coloured: Paint = (style, text) => `\x1b[${CODES[style]}m${text}\x1b[0m`;

/**
 * Whether stderr gets colours: as `--color` says; else not with NO_COLOR (no-color.org), always with FORCE_COLOR, and
 * otherwise if it is a terminal. Reads the command line itself, because errors in that line are coloured, too.
 */
export function paintFor(argv: readonly string[], { env, isTerminal }: PaintIo): Paint {
  const when = whenOf(argv);
  if (when === 'always') return coloured;
  if (when === 'never' || env.NO_COLOR) return plain;
  const forced = env.FORCE_COLOR !== undefined && !['', '0', 'false'].includes(env.FORCE_COLOR);
  return forced || isTerminal ? coloured : plain;
}

type PaintIo = Pick<CliIo, 'env' | 'isTerminal'>;

function whenOf(argv: readonly string[]): string {
  const end = argv.indexOf('--');
  const words = end < 0 ? argv : argv.slice(0, end);
  const at = words.findLastIndex((word) => word === '--color' || word.startsWith('--color='));
  if (at < 0) return 'auto';
  return words[at]?.split('=')[1] ?? words[at + 1] ?? 'auto';
}
