import type { Source } from '../../../core/io/source.ts';
import { MAX_XZ_BLOCKS, MAX_XZ_PADDING, MAX_XZ_STREAMS } from '../layer.ts';
import { unknownLayer } from '../unknown.ts';
import {
  type BlockRecord,
  FOOTER_BYTES,
  HEADER_BYTES,
  paddingOf,
  parseFooter,
  parseIndex,
  streamHeader,
} from './container.ts';

/** Where things are in a stream. */
export interface StreamMap {
  readonly check: number;
  /** Offset of the first block. */
  readonly start: number;
  readonly blocks: readonly BlockRecord[];
  /** Zeros after it. */
  readonly padding: number;
}

/** Two numbers of at most 9 bytes per block. */
const MAX_INDEX = 18 * MAX_XZ_BLOCKS;

/** All streams of an .xz file, in order, from their indexes. Throws UnsupportedError `RELEASED_UNKNOWN`. */
export async function mapStreams(source: Source): Promise<StreamMap[]> {
  const damaged = () => unknownLayer(source.name, 'it is damaged, or more than xz makes');
  const read = async (start: number, end: number) => {
    if (start < 0) throw damaged();
    const bytes = Buffer.alloc(end - start);
    await source.read(bytes, start);
    return bytes;
  };
  const streams: StreamMap[] = [];
  let roomForBlocks = MAX_XZ_BLOCKS;
  let roomForPadding = MAX_XZ_PADDING;
  for (let end = source.size; end > 0; ) {
    if (streams.length === MAX_XZ_STREAMS) throw damaged();
    let padding = 0;
    while ((await read(end - 4, end)).readUInt32LE() === 0) {
      padding += 4;
      end -= 4;
      roomForPadding -= 4;
      if (roomForPadding < 0) throw damaged();
    }
    const footer = parseFooter(await read(end - FOOTER_BYTES, end));
    if (footer === undefined || footer.indexBytes > MAX_INDEX) throw damaged();
    const { check, indexBytes } = footer;
    const indexEnd = end - FOOTER_BYTES;
    const index = await read(indexEnd - indexBytes, indexEnd);
    let blocks: BlockRecord[];
    try {
      blocks = parseIndex(index, roomForBlocks);
    } catch {
      throw damaged();
    }
    roomForBlocks -= blocks.length;
    const bytes = blocks.reduce((sum, { unpadded }) => sum + unpadded + paddingOf(unpadded), 0);
    const start = indexEnd - indexBytes - bytes;
    const header = await read(start - HEADER_BYTES, start);
    if (!header.equals(streamHeader(check))) throw damaged();
    streams.push({ check, start, blocks, padding });
    end = start - HEADER_BYTES;
  }
  return streams.reverse();
}
