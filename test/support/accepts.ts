import { cli } from './cli.ts';

/**
 * What the real command line says against some words of it, or undefined if its grammar takes them. They
 * are never carried out: there is no bundle, nothing can be written, and the run is over before it begins.
 */
export async function accepts(words: readonly string[]): Promise<string | undefined> {
  const { code, stderr } = await cli(words, {
    signal: AbortSignal.abort(),
    env: { HOME: '/dev/null', ISO_REHYDRATE_BUNDLE: '/dev/null/none' },
  });
  return code === 2 && /option|argument|command/.test(stderr) ? stderr : undefined;
}
