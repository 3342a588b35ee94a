import { inflateSync } from 'node:zlib';
import { FormatError } from '../../errors.ts';
import { isZero } from '../../io/zero.ts';
import type { DeflateParams } from '../deflate/params.ts';
import { sharedDeflater } from '../deflate/shared.ts';
import type { Task } from '../workers/tasks.ts';
import { decodeMarker, encodeGrain, grainSpan, MARKER } from './grain.ts';
import { SECTOR } from './header.ts';

/** A grain as the tables promise it. Offsets and lengths in bytes. */
export interface PromisedGrain {
  /** Where it starts in `file`. */
  readonly start: number;
  /** How far it may reach: to the next thing in the file. */
  readonly room: number;
  /** Sector of the disk. */
  readonly lba: number;
  /** Bytes on the disk: a grain, or what is left of the disk. */
  readonly length: number;
}

export interface CheckedGrain {
  /** Bytes in the file, whole sectors. */
  readonly span: number;
  /** Index into `candidates` of what reproduces it exactly; -1 if none does. */
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

/** Pool task: inflates grains and finds what deflates them to the very same bytes. */
export const checkGrains: Task<CheckGrains> = async ({
  name,
  position,
  file,
  grains,
  grainBytes,
  candidates,
}) => {
  const deflaters = await Promise.all(
    candidates.map((params) => sharedDeflater(params.implementation)),
  );
  const disk = new Uint8Array(grains.reduce((sum, { length }) => sum + length, 0));
  const checked: CheckedGrain[] = [];
  let at = 0;
  for (const { start, room, lba, length } of grains) {
    const marker = decodeMarker(file, start);
    const span = grainSpan(marker.size);
    const damaged = (problem: string, cause?: unknown) =>
      new FormatError(`${name}: grain at offset ${position + start} ${problem}`, {
        code: 'VMDK_GRAIN',
        context: { file: name, offset: position + start, lba, size: marker.size },
        hint: 'fetch the image again; this file is damaged',
        cause,
      });
    if (span > room) throw damaged('overlaps what follows it');
    let raw: Uint8Array;
    try {
      const data = file.subarray(start + MARKER, start + MARKER + marker.size);
      raw = inflateSync(data, { chunkSize: grainBytes, maxOutputLength: grainBytes });
    } catch (error) {
      throw damaged('does not inflate', error);
    }
    const padded = raw.length === grainBytes && length < grainBytes && isZero(raw, length);
    const faithful = raw.length === length || padded;
    const bytes = Buffer.from(file.buffer, file.byteOffset + start, span);
    const candidate = faithful
      ? candidates.findIndex((params, i) => {
          const deflater = deflaters[i];
          return deflater && bytes.equals(encodeGrain(deflater, params, lba, raw));
        })
      : -1;
    disk.set(raw.subarray(0, length), at);
    at += length;
    checked.push({ span, candidate, padded });
  }
  return { output: { disk, grains: checked }, transfer: [disk.buffer] };
};

/** Bytes to read of a grain: no deflater of 32 KiB windows makes more of it, so more is damage. */
export const maxGrainSpan = (grainBytes: number) =>
  grainSpan(grainBytes + (grainBytes >> 2) + 2 * SECTOR);
