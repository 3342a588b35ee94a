import type { Source } from '../../../core/io/source.ts';
import type { ReleasedContext } from '../context.ts';
import { LIBLZMA, MAX_XZ_BLOCK, XZ_CHECKS, type XzLayer, type XzStream } from '../layer.ts';
import { unknownLayer } from '../unknown.ts';
import { dictionaryBits, paddingOf, parseBlockHeader, STORED_DICTIONARY } from './container.ts';
import { blockSizeOf, DICTIONARIES, type Preset, presetsOf } from './presets.ts';
import { agreeing, type SampleBlock } from './sample.ts';
import { mapStreams, type StreamMap } from './streams.ts';
import { blockShape } from './writer.ts';

const MAX_HEADER = 1024;

/** Streams that one liblzma made with one preset. */
export async function recogniseXz(source: Source, context: ReleasedContext): Promise<XzLayer[]> {
  const unknown = (why: string) => unknownLayer(source.name, why);
  const streams = await mapStreams(source);
  const check = XZ_CHECKS.find((type) => type === streams[0]?.check);
  if (check === undefined || streams.some((stream) => stream.check !== check)) {
    throw unknown('its checks are not of one known kind');
  }
  const telling = await tellingBlock(source, streams);
  const common = { check, streams: groupsOf(streams) } as const;
  const library = LIBLZMA[0];
  // Of nothing at all, every preset makes the same.
  if (telling === undefined) {
    return [{ kind: 'xz', library, preset: 6, extreme: false, ...common, sized: false }];
  }
  if (!('start' in telling)) {
    const [one] = presetsOf(telling.dictionary);
    if (one === undefined) return [];
    const blockSize = blockSizeOf(telling.dictionary);
    return [{ kind: 'xz', library, ...one, ...common, blockSize, sized: true }];
  }
  const { sized, header, dictionary } = telling;
  const blockSize = blockSizeIn(streams) ?? (sized ? blockSizeOf(dictionary) : undefined);
  if (blockSize !== undefined) {
    const regular = streams.every(({ blocks }) =>
      areRegular(
        blocks.map((b) => b.unpacked),
        blockSize,
      ),
    );
    if (!regular || blockSize > MAX_XZ_BLOCK) throw unknown('its blocks are of irregular sizes');
  }
  if (blockShape({ sized, blockSize, check }).header !== header) {
    throw unknown('its blocks have unusual headers');
  }
  const found: Preset[] = await agreeing(source, telling, presetsOf(dictionary), library, context);
  if (found.length === 0) throw unknown('no preset of xz makes its blocks');
  return found.map(({ preset, extreme }) => {
    return { kind: 'xz', library, preset, extreme, ...common, blockSize, sized };
  });
}

interface TellingBlock extends SampleBlock {
  /** Length of its header, in bytes. */
  readonly header: number;
  /** Whether its header has its sizes. */
  readonly sized: boolean;
}

/** The block with the most compressed data, because runs and stored data reveal little. */
async function tellingBlock(
  source: Source,
  streams: readonly StreamMap[],
): Promise<TellingBlock | { readonly dictionary: number } | undefined> {
  const unknown = (why: string) => unknownLayer(source.name, why);
  const all: { start: number; unpadded: number; unpacked: number }[] = [];
  for (const { start, blocks } of streams) {
    let at = start;
    for (const { unpadded, unpacked } of blocks) {
      all.push({ start: at, unpadded, unpacked });
      at += unpadded + paddingOf(unpadded);
    }
  }
  all.sort((a, b) => b.unpadded - a.unpadded);
  for (const { start, unpadded } of all) {
    const bytes = Buffer.alloc(Math.min(MAX_HEADER, unpadded));
    await source.read(bytes, start);
    let parsed: ReturnType<typeof parseBlockHeader>;
    try {
      parsed = parseBlockHeader(bytes);
    } catch {
      throw unknown('it is damaged');
    }
    if (parsed === undefined) throw unknown('it has other filters than LZMA2');
    // The header of a stored block always has the same dictionary.
    if (parsed.dictionary === STORED_DICTIONARY) continue;
    const dictionary = DICTIONARIES.find((size) => dictionaryBits(size) === parsed.dictionary);
    if (dictionary === undefined) throw unknown('no preset of xz has its dictionary');
    const { size: header, sized } = parsed;
    return { header, sized, dictionary, start: start + header };
  }
  const [largest] = all;
  if (largest === undefined) return undefined;
  // All of it is only stored, as it is with any preset that has its blocks.
  const several = blockSizeIn(streams);
  const dictionary = DICTIONARIES.find((size) =>
    several === undefined ? blockSizeOf(size) >= largest.unpacked : blockSizeOf(size) === several,
  );
  if (dictionary === undefined) throw unknown('it is only stored, in unusual blocks');
  return { dictionary };
}

function groupsOf(streams: readonly StreamMap[]): XzStream[] {
  const groups: { size: number; times: number; padding: number }[] = [];
  for (const { blocks, padding } of streams) {
    const size = blocks.reduce((sum, { unpacked }) => sum + unpacked, 0);
    const last = groups.at(-1);
    if (last?.size === size && last.padding === padding) last.times++;
    else groups.push({ size, times: 1, padding });
  }
  return groups.map(({ size, times, padding }) => {
    return { size, ...(times > 1 ? { times } : {}), ...(padding > 0 ? { padding } : {}) };
  });
}

/** That of the first stream with several blocks. */
const blockSizeIn = (streams: readonly StreamMap[]): number | undefined =>
  streams.find(({ blocks }) => blocks.length > 1)?.blocks[0]?.unpacked;

function areRegular(sizes: readonly number[], blockSize: number): boolean {
  return sizes.every((size, i) =>
    i === sizes.length - 1 ? size <= blockSize && size > 0 : size === blockSize,
  );
}
