import fc from 'fast-check';
import { RehydrateError } from '../../src/errors.ts';

/** A few bytes of a buffer replaced, and perhaps its end cut off. */
export interface Mutation {
  readonly patches: readonly { readonly at: number; readonly value: number }[];
  readonly keep: number | undefined;
}

/** Mutations of `data`: mostly where it is not zero, since that is where its structure is. */
export function mutations(data: Uint8Array): fc.Arbitrary<Mutation> {
  const hot: number[] = [];
  for (const [at, byte] of data.entries()) if (byte !== 0) hot.push(at);
  const anywhere = fc.nat(data.length - 1);
  const structure = fc.nat(hot.length - 1).map((index) => hot[index] ?? 0);
  const value = fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff));
  const patch = fc.record({
    at: fc.oneof({ weight: 5, arbitrary: structure }, { weight: 1, arbitrary: anywhere }),
    value,
  });
  return fc.record({
    patches: fc.array(patch, { minLength: 1, maxLength: 6 }),
    keep: fc.option(fc.nat(data.length), { nil: undefined, freq: 8 }),
  });
}

/**
 * Runs `decode` on `runs` mutations of `data`. It may succeed or throw a RehydrateError; anything
 * else fails. Returns how many were rejected.
 */
export async function survive(
  data: Uint8Array,
  runs: number,
  decode: (mutated: Uint8Array) => Promise<unknown>,
): Promise<number> {
  const copy = Uint8Array.from(data);
  let rejected = 0;
  await fc.assert(
    fc.asyncProperty(mutations(data), async ({ patches, keep }) => {
      for (const { at, value } of patches) copy[at] = value;
      try {
        await decode(keep === undefined ? copy : copy.subarray(0, keep));
      } catch (error) {
        if (!(error instanceof RehydrateError)) throw error;
        rejected++;
      } finally {
        for (const { at } of patches) copy[at] = data[at] ?? 0;
      }
    }),
    { numRuns: runs },
  );
  return rejected;
}
