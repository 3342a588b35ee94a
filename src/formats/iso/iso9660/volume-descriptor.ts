import { FormatError, UnsupportedError } from '../../../core/errors.ts';
import { type DirectoryRecord, decodeDirectoryRecord, SECTOR_SIZE } from './directory-record.ts';

/** Descriptors start after the 32 KiB system area. */
export const FIRST_DESCRIPTOR_OFFSET = 16 * SECTOR_SIZE;

/** ECMA-119 8.4. */
export interface PrimaryVolumeDescriptor {
  readonly type: 'primary';
  readonly systemId: string;
  /** The label in `coreos.liveiso=` and `/dev/disk/by-label`. */
  readonly volumeId: string;
  /** Size of the volume, bytes; the file may be longer (isohybrid partition tables, padding). */
  readonly volumeSize: number;
  readonly root: DirectoryRecord;
}

export type VolumeDescriptor =
  | PrimaryVolumeDescriptor
  | { readonly type: 'boot' | 'supplementary' | 'partition' | 'terminator' }
  | { readonly type: 'unknown'; readonly id: number };

const OTHER_TYPES: ReadonlyMap<number, 'boot' | 'supplementary' | 'partition' | 'terminator'> =
  new Map([
    [0, 'boot'],
    [2, 'supplementary'],
    [3, 'partition'],
    [255, 'terminator'],
  ]);
const TYPE_PRIMARY = 1;

/** Decodes one 2048-byte sector of the descriptor set (ECMA-119 8.1). `offset` is for messages. */
export function decodeVolumeDescriptor(sector: Uint8Array, offset: number): VolumeDescriptor {
  const view = new DataView(sector.buffer, sector.byteOffset, SECTOR_SIZE);
  if (Buffer.from(sector.subarray(1, 6)).toString('latin1') !== 'CD001' || sector[6] !== 1) {
    throw new FormatError(`not an ISO 9660 image: no volume descriptor at offset ${offset}`, {
      code: 'ISO_NOT_ISO9660',
      context: { offset },
      hint: 'use the CoreOS live ISO, uncompressed, as released',
    });
  }
  const id = view.getUint8(0);
  if (id !== TYPE_PRIMARY) {
    const type = OTHER_TYPES.get(id);
    return type === undefined ? { type: 'unknown', id } : { type };
  }

  const blockSize = view.getUint16(128, true);
  if (blockSize !== SECTOR_SIZE) {
    throw new UnsupportedError(`ISO with logical blocks of ${blockSize} bytes`, {
      code: 'ISO_BLOCK_SIZE',
      context: { offset: offset + 128, blockSize, supported: SECTOR_SIZE },
      hint: 'CoreOS ISOs have 2048-byte blocks; check that this is one',
    });
  }
  const root = decodeDirectoryRecord(sector, 156, 156 + 34, offset);
  if (root?.isDirectory !== true) {
    throw new FormatError('the ISO has no root directory record', {
      code: 'ISO_BAD_DIRECTORY',
      context: { offset: offset + 156 },
    });
  }
  return {
    type: 'primary',
    systemId: decodeText(sector.subarray(8, 40), offset + 8),
    volumeId: decodeText(sector.subarray(40, 72), offset + 40),
    volumeSize: view.getUint32(80, true) * SECTOR_SIZE,
    root,
  };
}

/** Space-padded text; nominally a- or d-characters, in practice any text. */
function decodeText(bytes: Uint8Array, offset: number): string {
  const end = bytes.indexOf(0);
  const text = Buffer.from(end === -1 ? bytes : bytes.subarray(0, end))
    .toString('utf8')
    .replace(/ +$/, '');
  if (/\p{Cc}/u.test(text)) {
    throw new FormatError(`control characters in the ISO's volume descriptor at ${offset}`, {
      code: 'ISO_BAD_DESCRIPTOR',
      context: { offset },
    });
  }
  return text;
}
