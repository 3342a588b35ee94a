import {
  type Codec,
  type CodecContext,
  HEAD_BYTES,
  type Opened,
  type Payload,
} from '../../codec/codec.ts';
import { CODECS, codecNamed } from '../../codec/registry.ts';
import { type DiskRun, sourceRuns } from '../../core/io/disk-run.ts';
import type { Source } from '../../core/io/source.ts';

/** A file without its containers. */
export interface TakenApart {
  /** Outermost first; none if no codec applies. */
  readonly layers: readonly { readonly codec: Codec; readonly opened: Opened }[];
  /** What is inside the last of them; to be run once. */
  readonly payload: Omit<Payload & { kind: 'disk' }, 'kind'>;
}

export interface TakeApartOptions extends CodecContext {
  /** Go no deeper than this. */
  readonly maxLayers: number;
  /** Told before each layer is opened, counting it. */
  readonly onLayers: (count: number) => void;
  /** Keeps what a codec unpacks, for the next one to look into; open until the caller is done. */
  readonly keep: (runs: AsyncIterable<DiskRun>) => Promise<Source>;
}

/** The codec that a file may be for, by its first bytes. */
export function detectCodec(head: Uint8Array): Codec | undefined {
  return CODECS.find((codec) => codec.detect(head));
}

/**
 * Takes one container after the other off a file, going by the bytes. A container that merely holds
 * its payload as it is (a tar of a raw disk) stays on: the matcher finds the payload in it anyway.
 * Throws what {@link Codec.open} throws.
 */
export async function takeApart(file: Source, options: TakeApartOptions): Promise<TakenApart> {
  const layers: { codec: Codec; opened: Opened; around: Source }[] = [];
  let source = file;
  let next: string | undefined;
  while (layers.length < options.maxLayers) {
    const head = new Uint8Array(Math.min(HEAD_BYTES, source.size));
    await source.read(head, 0);
    const codec = next === undefined ? detectCodec(head) : codecNamed(next);
    if (codec === undefined) break;
    options.onLayers(layers.length + 1);
    const opened = await codec.open(source, options);
    layers.push({ codec, opened, around: source });
    const { payload } = opened;
    if (payload.kind === 'disk') return { layers, payload };
    next = payload.kind === 'source' ? payload.next : undefined;
    source = payload.kind === 'source' ? payload.source : await options.keep(payload.runs());
  }
  while (layers.at(-1)?.opened.payload.kind === 'source') source = layers.pop()?.around ?? file;
  const inside = source;
  return {
    layers,
    payload: { size: inside.size, runs: () => sourceRuns(inside, options.signal) },
  };
}
