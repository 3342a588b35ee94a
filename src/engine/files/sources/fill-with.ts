import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type Readers, startReaders } from '../workers/crew.ts';
import type { RunOptions, Target } from './source.ts';

/** Runs `body` with threads that put what they read into a base. */
export async function fillWith(
  { base, scratch, list, states }: Target,
  options: RunOptions,
  body: (readers: Readers) => Promise<void>,
): Promise<void> {
  const run = randomBytes(6).toString('hex');
  const { sizes, digestLength, digests } = list;
  await using readers = startReaders({
    ...options,
    place: (thread) => ({
      ...{ base, states, spill: join(scratch, `spill-${run}-${thread}`) },
      list: { sizes, digestLength, digests },
    }),
  });
  await body(readers);
}
