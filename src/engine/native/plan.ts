import { setImmediate as breathe } from 'node:timers/promises';
import { FormatError, throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import { objectName } from '../../formats/iso/osmet.ts';
import type { Osmet, OsmetMappings } from '../../formats/iso/osmet-types.ts';
import type { RootFiles, Unit } from '../../formats/rootfs/root-files.ts';

/** `length` bytes at `unitOffset` of an unpacked unit belong at `diskOffset` of disk number `disk`. */
export interface Copy {
  readonly unitOffset: number;
  readonly length: number;
  readonly disk: number;
  readonly diskOffset: number;
}

/** A unit of the root image and all pieces that are needed from it. */
export interface PlannedUnit extends Unit {
  // These change as more files turn out to share the unit.
  length: number;
  exact: boolean;
  partial: boolean;
  /** One of the objects in it, for messages. */
  readonly object: string;
  readonly copies: Copy[];
}

/** A mapping of one of the disks, before it is split into copies. */
interface MappingRef {
  readonly object: string;
  readonly disk: number;
  /** Of its partition, bytes. */
  readonly start: number;
  readonly mappings: OsmetMappings;
  readonly index: number;
}

/** 128 GiB in blocks of the usual size, for each of two disks. */
const MAX_COPIES = 2_000_000;
/** Objects looked up between two turns of the event loop. */
const BREATH = 512;

/**
 * Finds the bytes of each mapped extent in the root image, so that each unit of the image is unpacked only
 * once for all disks. Units come in the order of the image.
 *
 * @throws FormatError `OBJECT_MISSING`, or another for a malformed image; UnsupportedError `ROOT_NO_REPO`,
 * `OSMET_TOO_LARGE`.
 */
export async function planUnits(
  root: RootFiles,
  osmets: readonly Osmet[],
  signal: AbortSignal | undefined,
): Promise<PlannedUnit[]> {
  const refs = sortedByObject(osmets);
  const units = new Map<number, PlannedUnit>();
  let copies = 0;
  let objects = 0;
  for (let i = 0; i < refs.length; ) {
    if (++objects % BREATH === 0) {
      await breathe(); // reads of metadata block
      throwIfAborted(signal);
    }
    const object = refs[i]?.object ?? '';
    const path = `ostree/repo/objects/${object.slice(0, 2)}/${object.slice(2)}.file`;
    const file = root.find(path);
    if (file === undefined) throw objectMissing(root, object, path);
    // All extents of the object, on any disk.
    for (; refs[i]?.object === object; i++) {
      const ref = refs[i];
      if (ref === undefined) break;
      const { disk, start, mappings, index } = ref;
      const logical = mappings.logical[index] ?? 0;
      const end = logical + (mappings.length[index] ?? 0);
      const physical = start + (mappings.physical[index] ?? 0);
      for (const piece of file.pieces(logical, end)) {
        const from = Math.max(piece.start, logical);
        const to = Math.min(piece.start + piece.length, end);
        if (from >= to) continue;
        if (++copies > MAX_COPIES) throw tooLarge();
        unitOf(units, piece.unit, object).copies.push({
          unitOffset: piece.unitOffset + from - piece.start,
          length: to - from,
          disk,
          diskOffset: physical + from - logical,
        });
      }
    }
  }
  return [...units.values()].sort((a, b) => a.offset - b.offset);
}

/** The unit of a plan, made on first use; throws FormatError `ROOT_BLOCK` if files disagree about it. */
export function unitOf(units: Map<number, PlannedUnit>, unit: Unit, object: string): PlannedUnit {
  const known = units.get(unit.offset);
  if (known === undefined) {
    const planned = { ...unit, partial: unit.partial ?? false, object, copies: [] };
    units.set(unit.offset, planned);
    return planned;
  }
  if (known.stored === unit.stored && known.codec === unit.codec) {
    if (known.length === unit.length) return known;
    // One refers to a part of the other's unit.
    if (known.partial || unit.partial) {
      known.length = Math.max(known.length, unit.length);
      known.exact = false;
      known.partial = true;
      return known;
    }
  }
  // The same stored bytes cannot unpack to different data.
  throw new FormatError('two files of the root image disagree about a block', {
    code: 'ROOT_BLOCK',
    context: { offset: unit.offset, first: known.object, second: object },
    hint: 'fetch the ISO again and check its SHA-256',
  });
}

/** Neighbours in a folder of the repository come one after the other, and all extents of an object. */
function sortedByObject(osmets: readonly Osmet[]): MappingRef[] {
  const refs = osmets.flatMap(({ partitions }, disk) =>
    partitions.flatMap(({ start, mappings }) =>
      Array.from({ length: mappings.count }, (_, index) => {
        return { object: objectName(mappings, index), disk, start, mappings, index };
      }),
    ),
  );
  return refs.sort((a, b) => (a.object < b.object ? -1 : a.object > b.object ? 1 : 0));
}

function objectMissing(root: RootFiles, object: string, path: string): Error {
  if (!root.hasFolder('ostree/repo/objects')) {
    return new UnsupportedError('the root image has no ostree/repo/objects', {
      code: 'ROOT_NO_REPO',
      context: { image: root.description },
      hint: 'use the qemu engine',
    });
  }
  return new FormatError(`the root image lacks the object ${object} that the osmet names`, {
    code: 'OBJECT_MISSING',
    context: { object, path, image: root.description },
    hint: 'fetch the ISO again and check its SHA-256; its osmet and its root image must belong together',
  });
}

function tooLarge(): UnsupportedError {
  return new UnsupportedError('the disks are in too many pieces for the native engine', {
    code: 'OSMET_TOO_LARGE',
    context: { limit: MAX_COPIES },
    hint: 'use the qemu engine',
  });
}

/** The ranges of a disk that no mapping covers: start and end of each, in order. */
export function unmappedRanges({ partitions, size }: Osmet): Float64Array {
  const bounds: number[] = [];
  let cursor = 0;
  const upTo = (next: number) => {
    if (next > cursor) bounds.push(cursor, next);
  };
  for (const { start, mappings } of partitions) {
    for (let i = 0; i < mappings.count; i++) {
      const physical = start + (mappings.physical[i] ?? 0);
      upTo(physical);
      cursor = physical + (mappings.length[i] ?? 0);
    }
  }
  upTo(size);
  return Float64Array.from(bounds);
}
