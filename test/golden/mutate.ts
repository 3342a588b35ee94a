import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as breathe } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect } from 'vitest';
import { RehydrateError } from '../../src/core/errors.ts';

/** Processor time that a mutation may take; the whole golden file takes milliseconds. */
const MAX_SECONDS = 1;
/** Bytes that the process may grow by at any time while the mutations run. */
const MAX_MEMORY = 512 << 20;
/** Bytes that may still be in use once all mutations are over and garbage is collected. */
const MAX_LEFT = 128 << 20;
/** Mutations between two garbage collections, so that the bound does not count garbage. */
const GARBAGE = 2500;

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** Replaces a few bytes of a buffer, and may cut off its end. */
export interface Mutation {
  readonly patches: readonly { readonly at: number; readonly value: number }[];
  readonly keep: number | undefined;
}

/**
 * Mutations of `data`, mostly where it is not zero, because that is where its structure is; one in
 * ten is also truncated. Bytes before `from` stay as they are: otherwise the first check would hide
 * all code after it.
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
 * Runs `decode` on `runs` mutations of `data` (see {@link mutations}). Each may succeed or throw a RehydrateError. Any
 * other outcome fails, and so does a run that takes a second, a peak of half a gigabyte above the memory in use before,
 * or memory that stays in use afterwards. Earlier peaks of the process hide nothing. Returns how many mutations were
 * rejected.
 */
export async function survive(
  data: Uint8Array,
  runs: number,
  decode: (mutated: Uint8Array) => Promise<unknown>,
  from = 0,
  { maxMemory = MAX_MEMORY, maxLeft = MAX_LEFT } = {},
): Promise<number> {
  const copy = Uint8Array.from(data);
  // Anything that it loads once and keeps is not a leak.
  await decode(copy).catch(() => {});
  const before = await memoryInUse();
  const resident = resetPeak();
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
  expect(statusBytes('VmHWM') - resident).toBeLessThan(maxMemory);
  expect((await memoryInUse()) - before).toBeLessThan(maxLeft);
  return rejected;
}

/** Seconds. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Resets the peak of resident memory to the current value, and returns it; proc_pid_clear_refs(5). */
function resetPeak(): number {
  writeFileSync('/proc/self/clear_refs', '5');
  return statusBytes('VmRSS');
}

function statusBytes(field: 'VmRSS' | 'VmHWM'): number {
  const [, kibibytes] =
    readFileSync('/proc/self/status', 'utf8').match(`${field}:\\s+(\\d+) kB`) ?? [];
  if (kibibytes === undefined) throw new Error(`the kernel does not report ${field}`);
  return Number(kibibytes) * 1024;
}

/** Bytes that are reachable: in the heap, in buffers, in WebAssembly. */
async function memoryInUse(): Promise<number> {
  // Buffers are freed in parallel with the collector: those that the first round finds are gone after the next.
  for (let round = 0; round < 3; round++) {
    collectGarbage();
    await breathe(20);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
