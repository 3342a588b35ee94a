import { FormatError } from '../../core/errors.ts';
import { asBuffer, isZero } from '../../core/io/zero.ts';
import { sharedInflater } from '../deflate/inflate.ts';
import type { DeflateParams } from '../deflate/params.ts';
import { sharedDeflaters } from '../deflate/shared.ts';
import type { Done, Task } from '../pool.ts';

/** A compressed cluster as the tables promise it, in bytes. */
export interface PromisedCluster {
  /** Where it starts in `file`. */
  readonly start: number;
  /** How far it may reach. */
  readonly room: number;
  /** On the disk: a cluster, or the rest of the disk. */
  readonly length: number;
}

export interface CheckedCluster {
  /** Index into `candidates` of the deflater that reproduces it exactly; -1 if none does. */
  readonly candidate: number;
  /** Bytes in the file; all the room if nothing reproduces it. */
  readonly length: number;
}

export interface CheckClusters {
  readonly input: {
    /** For messages. */
    readonly name: string;
    /** Where `file` begins in the qcow2, for messages. */
    readonly position: number;
    readonly file: Uint8Array<ArrayBuffer>;
    readonly clusters: readonly PromisedCluster[];
    readonly clusterBytes: number;
    readonly candidates: readonly DeflateParams[];
  };
  readonly output: {
    /** The raw clusters, one after the other. */
    readonly disk: Uint8Array<ArrayBuffer>;
    readonly clusters: readonly CheckedCluster[];
  };
}

/** Pool task: inflates clusters and finds the deflater that gives the very same bytes. */
export const checkClusters: Task<CheckClusters> = { name: 'checkClusters', run };

async function run(input: CheckClusters['input']): Promise<Done<CheckClusters['output']>> {
  const { name, position, file, clusters, clusterBytes, candidates } = input;
  const inflater = await sharedInflater();
  const tried = await sharedDeflaters(candidates);
  const disk = new Uint8Array(clusters.reduce((sum, { length }) => sum + length, 0));
  const checked: CheckedCluster[] = [];
  let at = 0;
  for (const { start, room, length } of clusters) {
    const data = file.subarray(start, start + room);
    const inflated = inflater.inflate(data, clusterBytes, 'raw');
    if (inflated?.length !== clusterBytes || !isZero(inflated, length)) {
      throw new FormatError(`${name}: cluster at offset ${position + start} does not inflate`, {
        code: 'QCOW2_CLUSTER',
        context: { file: name, offset: position + start },
        hint: 'fetch the image again; this file is damaged',
      });
    }
    disk.set(inflated.subarray(0, length), at);
    const raw = Uint8Array.from(inflated);
    let found: CheckedCluster = { candidate: -1, length: room };
    for (const [candidate, { params, deflater }] of tried.entries()) {
      const made = deflater.compress(raw, params);
      if (made.length > room || !asBuffer(data.subarray(0, made.length)).equals(made)) continue;
      found = { candidate, length: made.length };
      break;
    }
    at += length;
    checked.push(found);
  }
  return { output: { disk, clusters: checked }, transfer: [disk.buffer] };
}
