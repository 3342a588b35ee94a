import { FormatError } from '../../../core/errors.ts';
import { unpackUnit } from '../../../formats/rootfs/unpack-unit.ts';
import type { PlannedUnit } from '../plan.ts';
import { type DiskWriter, openDiskWriter } from './disk-writer.ts';
import { type FileReader, openFileReader } from './file-reader.ts';
import type { UnpackRole } from './messages.ts';

/** The thread's work: returns the handler for requests. */
export function startUnpacking({
  iso,
  outputs,
}: UnpackRole): (units: readonly PlannedUnit[]) => void {
  const reader = openFileReader(iso);
  const writers = outputs.map(openDiskWriter);
  return (units) => unpackUnits(units, iso, reader, writers);
}

/** Reads units that lie near each other in one go, unpacks each and writes its parts. */
export function unpackUnits(
  units: readonly PlannedUnit[],
  iso: string,
  reader: FileReader,
  writers: readonly Pick<DiskWriter, 'write'>[],
): void {
  const start = units[0]?.offset ?? 0;
  const end = units.reduce((last, { offset, stored }) => Math.max(last, offset + stored), start);
  const stored = Buffer.allocUnsafe(end - start);
  reader.read(stored, start);
  for (const unit of units) {
    const at = unit.offset - start;
    const bytes = unpack(unit, stored.subarray(at, at + unit.stored), iso);
    for (const { unitOffset, length, disk, diskOffset } of unit.copies) {
      if (unitOffset + length > bytes.length) {
        throw badUnit(
          unit,
          iso,
          `it has ${bytes.length} bytes instead of at least ${unitOffset + length}`,
        );
      }
      writers[disk]?.write(bytes.subarray(unitOffset, unitOffset + length), diskOffset);
    }
  }
}

function unpack(unit: PlannedUnit, stored: Uint8Array, iso: string): Uint8Array {
  try {
    return unpackUnit(unit, stored);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw badUnit(unit, iso, error.message, error);
  }
}

function badUnit(unit: PlannedUnit, iso: string, why: string, cause?: unknown): FormatError {
  const { offset, stored, object } = unit;
  return new FormatError(`a block of the root image at offset ${offset} of the ISO: ${why}`, {
    code: 'ROOT_BLOCK',
    context: { iso, offset, stored, object },
    hint: 'fetch the ISO again and check its SHA-256',
    cause,
  });
}
