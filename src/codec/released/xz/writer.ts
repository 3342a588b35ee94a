import type { Sink } from '../../../core/io/sink.ts';
import type { XzLayer } from '../layer.ts';
import {
  type BlockRecord,
  blockBound,
  blockHeader,
  blockHeaderSize,
  CHECK_SIZES,
  dictionaryBits,
  paddingOf,
  STORED_DICTIONARY,
  streamEnd,
  streamHeader,
} from './container.ts';
import { dictionaryOf } from './presets.ts';

/** A compressed block, without its header. */
export interface PackedBlock {
  readonly unpacked: number;
  /** LZMA2, front to back. */
  readonly data: readonly Uint8Array[];
  readonly check: Uint8Array;
  /** Whether it is only stored. */
  readonly stored: boolean;
}

/** Settings common to all blocks of a layer. */
export interface BlockShape {
  /** Length of the header, in bytes. */
  readonly header: number;
  /** More LZMA2 data than that is not kept; undefined if blocks are never stored. */
  readonly limit: number | undefined;
}

/** As liblzma's stream_encoder.c and stream_encoder_mt.c have it. */
export function blockShape(layer: Pick<XzLayer, 'blockSize' | 'check' | 'sized'>): BlockShape {
  const { blockSize, check, sized } = layer;
  if (!sized || blockSize === undefined) {
    return { header: blockHeaderSize({ dictionary: 0 }), limit: undefined };
  }
  const bound = blockBound(blockSize);
  // The sizes are not known when room is left for them, and padding fills it.
  const header = blockHeaderSize({ dictionary: 0, packed: bound, unpacked: blockSize });
  return { header, limit: bound - header - (CHECK_SIZES[check] ?? 0) };
}

/** Writes the streams of a layer, part by part, in order. */
export function xzWriter(layer: XzLayer, sink: Sink) {
  const { check, sized } = layer;
  const { header } = blockShape(layer);
  const dictionary = dictionaryBits(dictionaryOf(layer));
  let records: BlockRecord[] = [];

  async function endBlock(headerBytes: number, packed: number, unpacked: number, sum: Uint8Array) {
    const padding = paddingOf(packed);
    if (padding > 0) await sink.write(Buffer.alloc(padding));
    if (sum.length > 0) await sink.write(sum);
    records.push({ unpadded: headerBytes + packed + sum.length, unpacked });
  }

  return {
    async startStream(): Promise<void> {
      records = [];
      await sink.write(streamHeader(check));
    },
    async block({ unpacked, data, check: sum, stored }: PackedBlock): Promise<void> {
      const packed = data.reduce((bytes, { length }) => bytes + length, 0);
      const what = sized ? { dictionary, packed, unpacked } : { dictionary };
      // A stored block gets a different header, without spare room.
      const head = stored ? { ...what, dictionary: STORED_DICTIONARY } : what;
      const headerBytes = stored ? blockHeaderSize(head) : header;
      await sink.write(blockHeader(head, headerBytes));
      for (const piece of data) await sink.write(piece);
      await endBlock(headerBytes, packed, unpacked, sum);
    },
    /** A block whose data the caller writes, without sizes in its header. */
    startBlock: () => sink.write(blockHeader({ dictionary }, header)),
    endBlock: (packed: number, unpacked: number, sum: Uint8Array) =>
      endBlock(header, packed, unpacked, sum),
    async endStream(padding: number): Promise<void> {
      await sink.write(streamEnd(check, records));
      if (padding > 0) await sink.zeros(padding);
    },
  };
}
