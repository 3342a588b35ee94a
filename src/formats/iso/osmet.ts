import { FormatError, throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import type { Source } from '../../core/io/source.ts';
import {
  type Cursor,
  decodeBytes,
  decodeString,
  decodeU32,
  decodeUint,
  encodeString,
  encodeUint,
  MAX_VARINT_SIZE,
} from './bincode.ts';
import { validateOsmet } from './osmet-check.ts';
import { badOsmet } from './osmet-error.ts';
import type { Osmet, OsmetHeader, OsmetMappings, OsmetPartition } from './osmet-types.ts';
import { type SlidingWindow, slidingWindow } from './sliding-window.ts';

const MAGIC = Buffer.from('OSMET\0\0\0');
const VERSION = 1;
const MAX_STRING = 256;
const MAX_HEADER = 16 + 3 * MAX_STRING + 5 * MAX_VARINT_SIZE;
/** GPT has 128 entries. coreos-installer writes two partitions: boot and root. */
const MAX_PARTITIONS = 128;
/** Far more than real releases have. */
const MAX_MAPPINGS = 1_000_000;
const DIGEST_SIZE = 32;
const MIN_MAPPING_SIZE = 3 + DIGEST_SIZE;
const MAX_MAPPING_SIZE = 3 * MAX_VARINT_SIZE + DIGEST_SIZE;
const XZ_MAGIC = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);

/**
 * Reads the osmet file that lies at `[start, start + length)` of a source, without its xz stream.
 *
 * @throws FormatError `OSMET_BAD` with the fault and its offset, UnsupportedError `OSMET_VERSION`.
 */
export async function readOsmet(
  source: Source,
  range: {
    readonly start?: number;
    readonly length?: number;
    readonly signal?: AbortSignal | undefined;
    /** For messages; the source's name by default. */
    readonly name?: string;
  } = {},
): Promise<Osmet> {
  const start = range.start ?? 0;
  const end = Math.min(start + (range.length ?? source.size - start), source.size);
  try {
    return await readAll(source, start, end, range.signal);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const file = range.name ?? source.name;
    throw new FormatError(`bad osmet file ${file}: ${error.message}`, {
      code: 'OSMET_BAD',
      context: { file, ...error.context },
      hint: 'fetch the ISO again and check its SHA-256',
      cause: error,
    });
  }
}

async function readAll(
  source: Source,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<Osmet> {
  const window = slidingWindow(source, start, end);
  const header = decodeOsmetHeader(await window.ensure(MAX_HEADER));
  const partitionCount = decodeUint(await window.ensure(MAX_VARINT_SIZE));
  if (partitionCount === 0 || partitionCount > MAX_PARTITIONS) {
    throw badOsmet(`${partitionCount} partitions`, window.offset());
  }
  const partitions: OsmetPartition[] = [];
  let budget = MAX_MAPPINGS;
  for (let i = 0; i < partitionCount; i++) {
    throwIfAborted(signal);
    const at = await window.ensure(3 * MAX_VARINT_SIZE);
    const partitionStart = decodeUint(at);
    const partitionEnd = decodeUint(at);
    const count = decodeUint(at);
    if (count > budget || count * MIN_MAPPING_SIZE > end - window.offset()) {
      throw badOsmet(`partition ${i} claims ${count} mappings`, window.offset());
    }
    budget -= count;
    const mappings = await readMappings(window, count, signal);
    partitions.push({ start: partitionStart, end: partitionEnd, mappings });
  }
  const at = await window.ensure(DIGEST_SIZE + MAX_VARINT_SIZE + XZ_MAGIC.length);
  const checksum = Buffer.from(decodeBytes(at, DIGEST_SIZE)).toString('hex') as Sha256;
  const size = decodeUint(at);
  const xzOffset = window.offset() - start;
  if (Buffer.compare(decodeBytes(at, XZ_MAGIC.length), XZ_MAGIC) !== 0) {
    throw badOsmet('no xz stream after the mappings', start + xzOffset);
  }
  const mappedBytes = validateOsmet(partitions, size, header.sectorSize, start);
  return {
    header,
    partitions,
    checksum,
    size,
    mappings: MAX_MAPPINGS - budget,
    mappedBytes,
    xzOffset,
  };
}

/** Decodes and checks the file header. */
export function decodeOsmetHeader(at: Cursor): OsmetHeader {
  if (Buffer.compare(decodeBytes(at, MAGIC.length), MAGIC) !== 0) {
    throw badOsmet('no osmet magic', at.base);
  }
  const version = decodeU32(at);
  if (version !== VERSION) {
    throw new UnsupportedError(`osmet file of version ${version}`, {
      code: 'OSMET_VERSION',
      context: { version, supported: VERSION, offset: at.base },
      hint: 'use the qemu engine, or a newer iso-rehydrate',
    });
  }
  const appVersion = decodeString(at, MAX_STRING);
  const sectorSize = decodeU32(at);
  if (sectorSize !== 512 && sectorSize !== 4096) {
    throw badOsmet(`sector size ${sectorSize}`, at.base + at.position);
  }
  const description = decodeString(at, MAX_STRING);
  const architecture = decodeString(at, MAX_STRING);
  return { appVersion, sectorSize, description, architecture };
}

async function readMappings(
  window: SlidingWindow,
  count: number,
  signal: AbortSignal | undefined,
): Promise<OsmetMappings> {
  const mappings = {
    count,
    logical: new Float64Array(count),
    physical: new Float64Array(count),
    length: new Float64Array(count),
    objects: new Uint8Array(count * DIGEST_SIZE),
  };
  for (let i = 0; i < count; ) {
    throwIfAborted(signal);
    const at = await window.ensure(MAX_MAPPING_SIZE);
    // Decode all whole mappings of the window without another await; the last one may be cut off.
    do {
      mappings.logical[i] = decodeUint(at);
      mappings.physical[i] = decodeUint(at);
      mappings.length[i] = decodeUint(at);
      mappings.objects.set(decodeBytes(at, DIGEST_SIZE), i * DIGEST_SIZE);
      i++;
    } while (i < count && at.bytes.length - at.position >= MAX_MAPPING_SIZE);
  }
  return mappings;
}

/** Lower-case hex name of the OSTree object of mapping `index`. */
export function objectName(mappings: OsmetMappings, index: number): string {
  const at = index * DIGEST_SIZE;
  return Buffer.from(mappings.objects.subarray(at, at + DIGEST_SIZE)).toString('hex');
}

/** Encodes everything before the xz stream. The inverse of {@link readOsmet}. */
export function encodeOsmet(
  osmet: Pick<Osmet, 'header' | 'partitions' | 'checksum' | 'size'>,
): Buffer {
  const { header } = osmet;
  const parts: Uint8Array[] = [
    MAGIC,
    encodeUint(VERSION),
    encodeString(header.appVersion),
    encodeUint(header.sectorSize),
    encodeString(header.description),
    encodeString(header.architecture),
    encodeUint(osmet.partitions.length),
  ];
  for (const { start, end, mappings } of osmet.partitions) {
    parts.push(encodeUint(start), encodeUint(end), encodeUint(mappings.count));
    for (let i = 0; i < mappings.count; i++) {
      parts.push(
        encodeUint(mappings.logical[i] ?? 0),
        encodeUint(mappings.physical[i] ?? 0),
        encodeUint(mappings.length[i] ?? 0),
        mappings.objects.subarray(i * DIGEST_SIZE, (i + 1) * DIGEST_SIZE),
      );
    }
  }
  parts.push(Buffer.from(osmet.checksum, 'hex'), encodeUint(osmet.size));
  return Buffer.concat(parts);
}
