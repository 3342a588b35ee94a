import { FormatError } from '../../../core/errors.ts';
import type { Source } from '../../../core/io/source.ts';
import {
  type DirectoryRecord,
  decodeDirectoryRecord,
  isoName,
  isSelfOrParent,
  SECTOR_SIZE,
} from './directory-record.ts';
import {
  type Continuation,
  decodeSystemUse,
  mergeRockRidge,
  NO_ROCK_RIDGE,
  type RockRidge,
} from './rock-ridge.ts';

/** One name in a directory; the records of a multi-extent file are one entry. */
export interface IsoEntry {
  /** Rock Ridge name; without one, the ISO name without `;1`. */
  readonly name: string;
  /** The ISO name if there is no Rock Ridge name: it matches without regard to case. */
  readonly isoName: string | undefined;
  readonly kind: 'file' | 'directory' | 'symlink' | 'other';
  /** Byte ranges of the image, in file order. */
  readonly extents: readonly { readonly offset: number; readonly length: number }[];
  /** Why the bytes of the extents are not the bytes of the file, if they are not. */
  readonly encoded: 'zisofs' | 'interleaved' | undefined;
}

/** Limit of the records of a directory; CoreOS ISOs have far fewer. */
const MAX_DIRECTORY_BYTES = 4 << 20;
const MAX_CONTINUATIONS = 8;
const MAX_CONTINUATION_BYTES = 8 << 10;
const MODE_TYPE = 0o170000;
const KINDS: ReadonlyMap<number, IsoEntry['kind']> = new Map([
  [0o100000, 'file'],
  [0o040000, 'directory'],
  [0o120000, 'symlink'],
]);

/** Reads `length` bytes at `offset`; a range outside the image is an error. */
export async function readIso(
  source: Source,
  offset: number,
  length: number,
  what: string,
): Promise<Uint8Array> {
  if (offset + length > source.size) {
    throw new FormatError(
      `${what} lies outside the ISO: ${length} bytes at ${offset}, but the file has ${source.size}`,
      {
        code: 'ISO_OUT_OF_BOUNDS',
        context: { file: source.name, offset, length, size: source.size },
        hint: 'fetch the ISO again; it is damaged',
      },
    );
  }
  const bytes = new Uint8Array(length);
  await source.read(bytes, offset);
  return bytes;
}

/**
 * Reads all entries of the directory at byte `offset`.
 *
 * @param length Bytes; `undefined` for a relocated directory, whose own `.` record has it.
 * @param suspSkip As of `decodeSuspIndicator`; `undefined` where the ISO has no Rock Ridge.
 */
export async function readDirectory(
  source: Source,
  offset: number,
  length: number | undefined,
  suspSkip: number | undefined,
): Promise<IsoEntry[]> {
  const size = length ?? (await ownLength(source, offset));
  if (size > MAX_DIRECTORY_BYTES) {
    throw new FormatError(`ISO directory at offset ${offset} claims ${size} bytes`, {
      code: 'ISO_BAD_DIRECTORY',
      context: { offset, size, limit: MAX_DIRECTORY_BYTES },
    });
  }
  const bytes = await readIso(source, offset, size, 'a directory');
  const entries: IsoEntry[] = [];
  let sections: DirectoryRecord[] = [];
  for (let sector = 0; sector < bytes.length; sector += SECTOR_SIZE) {
    for (let at = sector; ; ) {
      const record = decodeDirectoryRecord(bytes, at, sector + SECTOR_SIZE, offset);
      if (record === undefined) break;
      const where = offset + at;
      at += record.recordLength;
      if (isSelfOrParent(record.identifier) || record.associated) continue;
      const previous = sections.at(-1);
      if (previous && Buffer.compare(previous.identifier, record.identifier) !== 0) {
        throw badDirectory(where, 'a multi-extent file does not end');
      }
      sections.push(record);
      if (record.multiExtent) continue;
      const entry = await decodeEntry(source, sections, suspSkip, where);
      if (entry) entries.push(entry);
      sections = [];
    }
  }
  if (sections.length > 0) throw badDirectory(offset, 'a multi-extent file does not end');
  return entries;
}

async function ownLength(source: Source, offset: number): Promise<number> {
  const sector = await readIso(source, offset, SECTOR_SIZE, 'a relocated directory');
  const self = decodeDirectoryRecord(sector, 0, SECTOR_SIZE, offset);
  if (self?.isDirectory !== true) throw badDirectory(offset, 'there is no directory');
  return self.dataLength;
}

/** One entry from the records of a file; `undefined` if it is hidden (RE). */
async function decodeEntry(
  source: Source,
  sections: readonly DirectoryRecord[],
  suspSkip: number | undefined,
  where: number,
): Promise<IsoEntry | undefined> {
  const [first] = sections;
  if (first === undefined) return undefined;
  const rockRidge =
    suspSkip === undefined
      ? NO_ROCK_RIDGE
      : await readRockRidge(source, first.systemUse.subarray(suspSkip), where);
  if (rockRidge.relocated) return undefined;

  const longName = Buffer.concat(rockRidge.name).toString('utf8');
  const shortName = isoName(first.identifier);
  const name = longName === '' ? shortName : longName;
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
    throw badDirectory(where, `impossible file name ${JSON.stringify(name)}`);
  }
  const common = { name, isoName: longName === '' ? shortName : undefined };
  if (rockRidge.childBlock !== undefined) {
    const relocated = { offset: rockRidge.childBlock * SECTOR_SIZE, length: RELOCATED };
    return { ...common, kind: 'directory', extents: [relocated], encoded: undefined };
  }
  const kind =
    rockRidge.mode === undefined ? 'file' : (KINDS.get(rockRidge.mode & MODE_TYPE) ?? 'other');
  return {
    ...common,
    // The record's own flag decides whether it is a directory, because it decides how the extent is read.
    kind: first.isDirectory ? 'directory' : kind === 'directory' ? 'other' : kind,
    extents: sections.map((s) => ({ offset: s.block * SECTOR_SIZE, length: s.dataLength })),
    encoded: rockRidge.compressed
      ? 'zisofs'
      : sections.some((s) => s.interleaved)
        ? 'interleaved'
        : undefined,
  };
}

/** Length of a directory extent that is known only from the directory itself. */
export const RELOCATED = -1;

/** Follows continuation areas (CE), which hold what a 255-byte record has no room for. */
async function readRockRidge(source: Source, area: Uint8Array, where: number): Promise<RockRidge> {
  const first = decodeSystemUse(area, where);
  let result: RockRidge = first;
  let next: Continuation | undefined = first.continuation;
  for (let hops = 0, total = 0; next; hops++) {
    total += next.length;
    if (hops === MAX_CONTINUATIONS || total > MAX_CONTINUATION_BYTES) {
      throw badDirectory(where, 'endless Rock Ridge continuation');
    }
    const offset = next.block * SECTOR_SIZE + next.offset;
    const bytes = await readIso(source, offset, next.length, 'a Rock Ridge continuation');
    const more = decodeSystemUse(bytes, offset);
    result = mergeRockRidge(result, more);
    next = more.continuation;
  }
  return result;
}

function badDirectory(offset: number, what: string): FormatError {
  return new FormatError(`ISO directory record at offset ${offset}: ${what}`, {
    code: 'ISO_BAD_DIRECTORY',
    context: { offset },
    hint: 'fetch the ISO again; it is damaged',
  });
}
