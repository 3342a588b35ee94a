import { cli } from './cli.ts';

/**
 * The error of the real command line for some words, or undefined if its grammar accepts them. They are never
 * carried out: there is no bundle, nothing can be written, and the run is cancelled before it begins.
 */
export async function accepts(words: readonly string[]): Promise<string | undefined> {
  const { code, stderr } = await cli(words, {
    signal: AbortSignal.abort(),
    env: { HOME: '/dev/null', ISO_REHYDRATE_BUNDLE: '/dev/null/none' },
  });
  return code === 2 && /option|argument|command/.test(stderr) ? stderr : undefined;
}
