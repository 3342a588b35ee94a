/** Where the words of an option come from: a fixed list, or the bundle at hand. */
export type Words = readonly string[] | 'platforms' | 'formats' | 'architectures';

export interface Completed {
  readonly words: Words;
  /** Whether several of them may be given, separated by commas. */
  readonly list: boolean;
}

type Parse<T, P extends unknown[]> = (text: string, ...previous: P) => T;

/** A parser of an option that shells can complete: the parser carries its words. */
export function completed<T, P extends unknown[]>(
  parse: Parse<T, P>,
  words: Words,
  { list = false }: { readonly list?: boolean } = {},
): Parse<T, P> & Completed {
  return Object.assign((text: string, ...previous: P) => parse(text, ...previous), { words, list });
}

/** The words that a parser carries. */
export function wordsOf(parse: unknown): Completed | undefined {
  return typeof parse === 'function' && 'words' in parse ? (parse as never) : undefined;
}
