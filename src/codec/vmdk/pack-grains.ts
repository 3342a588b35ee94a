import type { DeflateParams } from '../deflate/params.ts';
import { sharedDeflater } from '../deflate/shared.ts';
import type { Task } from '../workers/tasks.ts';
import { encodeGrain } from './grain.ts';

export interface PackGrains {
  readonly input: {
    /** The raw grains, one after the other. */
    readonly disk: Uint8Array<ArrayBuffer>;
    readonly grains: readonly { readonly lba: number; readonly length: number }[];
    readonly params: DeflateParams;
  };
  readonly output: {
    /** The grains as the file holds them, one after the other. */
    readonly file: Uint8Array<ArrayBuffer>;
    /** Bytes of each. */
    readonly spans: readonly number[];
  };
}

/** Pool task: raw grains to file bytes. */
export const packGrains: Task<PackGrains> = async ({ disk, grains, params }) => {
  const deflater = await sharedDeflater(params.implementation);
  let at = 0;
  const packed = grains.map(({ lba, length }) => {
    at += length;
    return encodeGrain(deflater, params, lba, disk.subarray(at - length, at));
  });
  const file = new Uint8Array(packed.reduce((sum, grain) => sum + grain.length, 0));
  let end = 0;
  for (const grain of packed) {
    file.set(grain, end);
    end += grain.length;
  }
  return {
    output: { file, spans: packed.map((grain) => grain.length) },
    transfer: [file.buffer],
  };
};
