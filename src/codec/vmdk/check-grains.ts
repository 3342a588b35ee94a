import { FormatError } from '../../core/errors.ts';
import { asBuffer, isZero } from '../../core/io/zero.ts';
import { sharedInflater } from '../deflate/inflate.ts';
import type { DeflateParams } from '../deflate/params.ts';
import { type Candidate, sharedDeflaters } from '../deflate/shared.ts';
import type { Done, Task } from '../pool.ts';
import { decodeMarker, grainSpan, MARKER } from './grain.ts';

/** A grain as the tables promise it. Offsets and lengths in bytes. */
export interface PromisedGrain {
  /** Where it starts in `file`. */
  readonly start: number;
  /** How far it may reach: to the next thing in the file. */
  readonly room: number;
  /** Sector of the disk. */
  readonly lba: number;
  /** Bytes on the disk: a grain, or the rest of the disk. */
  readonly length: number;
}

export interface CheckedGrain {
  /** Bytes in the file, whole sectors. */
  readonly span: number;
  /** Index into `candidates` of the deflater that reproduces it exactly; -1 if none does. */
  readonly candidate: number;
  /** The last grain of the disk was filled up with zeros before it was deflated. */
  readonly padded: boolean;
}

export interface CheckGrains {
  readonly input: {
    /** For messages. */
    readonly name: string;
    /** Where `file` begins in the VMDK, for messages. */
    readonly position: number;
    readonly file: Uint8Array<ArrayBuffer>;
    readonly grains: readonly PromisedGrain[];
    readonly grainBytes: number;
    readonly candidates: readonly DeflateParams[];
  };
  readonly output: {
    /** The raw grains, one after the other. */
    readonly disk: Uint8Array<ArrayBuffer>;
    readonly grains: readonly CheckedGrain[];
  };
}

/** Pool task: inflates grains and finds the deflater that gives the very same bytes. */
export const checkGrains: Task<CheckGrains> = { name: 'checkGrains', run };

async function run(input: CheckGrains['input']): Promise<Done<CheckGrains['output']>> {
  const { name, position, file, grains, grainBytes, candidates } = input;
  const inflater = await sharedInflater();
  const tried = await sharedDeflaters(candidates);
  const disk = new Uint8Array(grains.reduce((sum, { length }) => sum + length, 0));
  const checked: CheckedGrain[] = [];
  let at = 0;
  for (const { start, room, lba, length } of grains) {
    const marker = decodeMarker(file, start);
    const span = grainSpan(marker.size);
    const damaged = (problem: string) =>
      new FormatError(`${name}: grain at offset ${position + start} ${problem}`, {
        code: 'VMDK_GRAIN',
        context: { file: name, offset: position + start, lba, size: marker.size },
        hint: 'fetch the image again; this file is damaged',
      });
    if (span > room) throw damaged('overlaps what follows it');
    const data = file.subarray(start + MARKER, start + MARKER + marker.size);
    const inflated = inflater.inflate(data, grainBytes);
    if (inflated === undefined) throw damaged('does not inflate');
    disk.set(inflated.subarray(0, length), at);
    const padded =
      inflated.length === grainBytes && length < grainBytes && isZero(inflated, length);
    const sound =
      (padded || inflated.length === length) &&
      marker.lba === lba &&
      isZero(file, start + MARKER + marker.size, start + span);
    const candidate = sound ? tried.findIndex((each) => reproduces(each, inflated, data)) : -1;
    at += length;
    checked.push({ span, candidate, padded });
  }
  return { output: { disk, grains: checked }, transfer: [disk.buffer] };
}

function reproduces({ params, deflater }: Candidate, raw: Uint8Array, data: Uint8Array): boolean {
  return asBuffer(data).equals(deflater.compress(raw, params));
}
