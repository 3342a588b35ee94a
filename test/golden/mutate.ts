import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect } from 'vitest';
import { RehydrateError } from '../../src/core/errors.ts';

/** No mutation may take more of the processor: the whole golden file takes milliseconds. */
const MAX_SECONDS = 1;
/** What all mutations together may add to the peak of the process' resident memory. Bytes. */
const MAX_MEMORY = 512 << 20;
/** Mutations between two collections of garbage, which is not what the bound is about. */
const GARBAGE = 2500;

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** A few bytes of a buffer replaced, and perhaps its end cut off. */
export interface Mutation {
  readonly patches: readonly { readonly at: number; readonly value: number }[];
  readonly keep: number | undefined;
}

/**
 * Mutations of `data`: mostly where it is not zero, since that is where its structure is; one in
 * ten is a truncation too. Bytes in front of `from` stay as they are: what is checked first would
 * otherwise hide all that comes after it.
 */
export function mutations(data: Uint8Array, from = 0): fc.Arbitrary<Mutation> {
  const hot: number[] = [];
  for (const [at, byte] of data.entries()) if (byte !== 0 && at >= from) hot.push(at);
  const anywhere = fc.integer({ min: from, max: data.length - 1 });
  const structure = fc.nat(hot.length - 1).map((index) => hot[index] ?? 0);
  const value = fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff));
  const patch = fc.record({
    at: fc.oneof({ weight: 5, arbitrary: structure }, { weight: 1, arbitrary: anywhere }),
    value,
  });
  return fc.record({
    patches: fc.array(patch, { minLength: 1, maxLength: 6 }),
    keep: fc.oneof(
      { weight: 9, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.integer({ min: from, max: data.length }) },
    ),
  });
}

/**
 * Runs `decode` on `runs` mutations of `data` (see {@link mutations}). It may succeed or throw a RehydrateError; anything
 * else fails, and so does one that takes a second or half a gigabyte. Returns how many were rejected.
 */
export async function survive(
  data: Uint8Array,
  runs: number,
  decode: (mutated: Uint8Array) => Promise<unknown>,
  from = 0,
): Promise<number> {
  const copy = Uint8Array.from(data);
  const peak = peakMemory();
  let slowest = 0;
  let count = 0;
  let rejected = 0;
  await fc.assert(
    fc.asyncProperty(mutations(data, from), async ({ patches, keep }) => {
      for (const { at, value } of patches) copy[at] = value;
      if (count++ % GARBAGE === 0) collectGarbage();
      const started = processorTime();
      try {
        await decode(keep === undefined ? copy : copy.subarray(0, keep));
      } catch (error) {
        if (!(error instanceof RehydrateError)) throw error;
        rejected++;
      } finally {
        slowest = Math.max(slowest, processorTime() - started);
        for (const { at } of patches) copy[at] = data[at] ?? 0;
      }
    }),
    { numRuns: runs },
  );
  expect(slowest).toBeLessThan(MAX_SECONDS);
  expect(peakMemory() - peak).toBeLessThan(MAX_MEMORY);
  return rejected;
}

/** Seconds. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const peakMemory = () => process.resourceUsage().maxRSS * 1024;
