import type { DeflateParams } from '../deflate/params.ts';
import { sharedDeflater } from '../deflate/shared.ts';
import type { Done, Task } from '../pool.ts';
import { encodeGrain, maxGrainSpan } from './grain.ts';

export interface PackGrains {
  readonly input: {
    /**
     * At its end the raw grains, one after the other; it has to be as long as {@link packRoom} says,
     * because the packed ones are written to its start while the raw ones are read.
     */
    readonly buffer: Uint8Array<ArrayBuffer>;
    readonly grains: readonly { readonly lba: number; readonly length: number }[];
    readonly params: DeflateParams;
  };
  readonly output: {
    /** The same memory. */
    readonly buffer: Uint8Array<ArrayBuffer>;
    /** Bytes of each packed grain, one after the other from the start of `buffer`. */
    readonly spans: readonly number[];
  };
}

/** Bytes that packing `count` grains in place takes. */
export const packRoom = (count: number, grainBytes: number) => count * maxGrainSpan(grainBytes);

/** Pool task: raw grains to file bytes. */
export const packGrains: Task<PackGrains> = { name: 'packGrains', run };

async function run({
  buffer,
  grains,
  params,
}: PackGrains['input']): Promise<Done<PackGrains['output']>> {
  const deflater = await sharedDeflater(params.implementation);
  const spans: number[] = [];
  let at = buffer.length - grains.reduce((sum, { length }) => sum + length, 0);
  let end = 0;
  for (const { lba, length } of grains) {
    const raw = buffer.subarray(at, at + length);
    at += length;
    const span = encodeGrain(deflater, params, lba, raw, buffer.subarray(end, at));
    spans.push(span);
    end += span;
  }
  return { output: { buffer, spans }, transfer: [buffer.buffer] };
}
