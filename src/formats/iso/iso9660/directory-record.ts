import { FormatError } from '../../../core/errors.ts';

/** The only logical block size that CoreOS ISOs (and coreos-installer) use; also the sector size. */
export const SECTOR_SIZE = 2048;

/** A directory record, ECMA-119 9.1. Positions are in logical blocks, as in the image. */
export interface DirectoryRecord {
  /** Size of the record in its directory in bytes. */
  readonly recordLength: number;
  /** First logical block of the data, behind any extended attribute record. */
  readonly block: number;
  /** Bytes of data in this extent. */
  readonly dataLength: number;
  readonly isDirectory: boolean;
  /** The file continues in the next record of the directory (files of 4 GiB and more). */
  readonly multiExtent: boolean;
  /** A companion (resource fork) of the file of the same name, not the file itself. */
  readonly associated: boolean;
  /** Interleaved recording: the extent has gaps. */
  readonly interleaved: boolean;
  /** As recorded: `NAME.EXT;1`, or one byte 0 (`.`) or 1 (`..`). */
  readonly identifier: Uint8Array;
  /** System use area: SUSP and Rock Ridge entries. */
  readonly systemUse: Uint8Array;
}

const FIXED_LENGTH = 33;
const FLAG_DIRECTORY = 0x02;
const FLAG_ASSOCIATED = 0x04;
const FLAG_MULTI_EXTENT = 0x80;

/**
 * Decodes the record at `at`, which must end at or before `limit` (records never cross sectors).
 * Returns `undefined` where a zero length byte says that the sector holds no more records.
 *
 * @param where Offset of `bytes[0]` in the image, for error messages.
 */
export function decodeDirectoryRecord(
  bytes: Uint8Array,
  at: number,
  limit: number,
  where: number,
): DirectoryRecord | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, Math.min(limit, bytes.length));
  const malformed = (what: string): FormatError =>
    new FormatError(`ISO directory record at offset ${where + at}: ${what}`, {
      code: 'ISO_BAD_DIRECTORY',
      context: { offset: where + at },
      hint: 'fetch the ISO again; it is damaged',
    });

  if (at >= view.byteLength) return undefined;
  const recordLength = view.getUint8(at);
  if (recordLength === 0) return undefined;
  if (at + recordLength > view.byteLength) throw malformed('crosses the end of its sector');
  if (recordLength < FIXED_LENGTH + 1) throw malformed(`is only ${recordLength} bytes long`);

  const nameLength = view.getUint8(at + 32);
  // A pad byte keeps the system use area on an even offset.
  const systemUseAt = FIXED_LENGTH + nameLength + (nameLength % 2 === 0 ? 1 : 0);
  if (nameLength === 0 || FIXED_LENGTH + nameLength > recordLength) {
    throw malformed(`has a name of ${nameLength} bytes`);
  }
  const flags = view.getUint8(at + 25);
  return {
    recordLength,
    block: view.getUint32(at + 2, true) + view.getUint8(at + 1),
    dataLength: view.getUint32(at + 10, true),
    isDirectory: (flags & FLAG_DIRECTORY) !== 0,
    associated: (flags & FLAG_ASSOCIATED) !== 0,
    multiExtent: (flags & FLAG_MULTI_EXTENT) !== 0,
    interleaved: view.getUint8(at + 26) !== 0 || view.getUint8(at + 27) !== 0,
    identifier: bytes.subarray(at + FIXED_LENGTH, at + FIXED_LENGTH + nameLength),
    systemUse: bytes.subarray(at + Math.min(systemUseAt, recordLength), at + recordLength),
  };
}

/** `.` and `..` are recorded as one byte 0 and one byte 1. */
export function isSelfOrParent(identifier: Uint8Array): boolean {
  return identifier.length === 1 && (identifier[0] === 0 || identifier[0] === 1);
}

/** The file name without version (`;1`) and without the dot of an empty extension, as mounted. */
export function isoName(identifier: Uint8Array): string {
  return Buffer.from(identifier)
    .toString('latin1')
    .replace(/;[0-9]*$/, '')
    .replace(/\.$/, '');
}
