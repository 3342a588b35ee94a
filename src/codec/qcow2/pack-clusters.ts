import type { DeflateParams } from '../deflate/params.ts';
import { sharedDeflater } from '../deflate/shared.ts';
import type { Done, Task } from '../pool.ts';

export interface PackClusters {
  readonly input: {
    /** Raw clusters, one after the other. */
    readonly disk: Uint8Array<ArrayBuffer>;
    readonly clusterBytes: number;
    readonly params: DeflateParams;
  };
  readonly output: {
    /** The deflated ones, one after the other from the start; the rest is left over. */
    readonly bytes: Uint8Array<ArrayBuffer>;
    readonly lengths: readonly number[];
    /** The input's memory, to be used again. */
    readonly disk: Uint8Array<ArrayBuffer>;
  };
}

/** Pool task: raw clusters to file bytes. */
export const packClusters: Task<PackClusters> = { name: 'packClusters', run };

async function run({
  disk,
  clusterBytes,
  params,
}: PackClusters['input']): Promise<Done<PackClusters['output']>> {
  const deflater = await sharedDeflater(params.implementation);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < disk.length; at += clusterBytes) {
    pieces.push(Uint8Array.from(deflater.compress(disk.subarray(at, at + clusterBytes), params)));
  }
  const lengths = pieces.map(({ length }) => length);
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let end = 0;
  for (const piece of pieces) {
    bytes.set(piece, end);
    end += piece.length;
  }
  return { output: { bytes, lengths, disk }, transfer: [bytes.buffer, disk.buffer] };
}
