import type { BundleWriter } from '../../bundle/write.ts';
import {
  type Codec,
  type CodecContext,
  HEAD_BYTES,
  type Opened,
  type Payload,
} from '../../codec/codec.ts';
import { CODECS, codecNamed } from '../../codec/registry.ts';
import { FormatError, UnsupportedError } from '../../core/errors.ts';
import { runsToSink, sourceRuns } from '../../core/io/disk-run.ts';
import type { Source } from '../../core/io/source.ts';

/** A file without its containers. Dispose of it once the payload was read. */
export interface TakenApart extends AsyncDisposable {
  /** Outermost first; none if no codec applies. */
  readonly layers: readonly Layer[];
  /** What is inside the last of them; to be run once. */
  readonly payload: Inside;
  /** Why it was taken no further apart, if a codec refused. */
  readonly refusal: CodecRefusal | undefined;
}

/** As a codec's disk, but a file that only passes by has no size before its end. */
export interface Inside extends Omit<Payload & { kind: 'disk' }, 'kind' | 'size'> {
  readonly size: number | undefined;
}

export interface Layer {
  readonly codec: Codec;
  readonly opened: Opened;
}

/** How a codec says that a file is better taken as it is: on opening, while it is read, or at its end. */
export type CodecRefusal = FormatError | UnsupportedError;

export const isRefusal = (error: unknown): error is CodecRefusal =>
  error instanceof FormatError || error instanceof UnsupportedError;

export interface TakeApartOptions extends CodecContext {
  /** Go no deeper than this. */
  readonly maxLayers: number;
  /** Keeps what a codec unpacks, for the next one to look into. */
  readonly writer: Pick<BundleWriter, 'addScratch'>;
}

/** The codec that a file may be for, by its first bytes. */
export function detectCodec(head: Uint8Array): Codec | undefined {
  return CODECS.find((codec) => codec.detect(head));
}

/**
 * Takes one container after the other off a file, going by the bytes, as far as the codecs agree. A
 * container that merely holds its payload as it is (a tar of a raw disk) stays on: the matcher finds the
 * payload in it anyway.
 */
export async function takeApart(file: Source, options: TakeApartOptions): Promise<TakenApart> {
  const peeled: (Layer & Peeled & { readonly around: Source })[] = [];
  let source = file;
  let refusal: CodecRefusal | undefined;
  const dispose = async () => {
    for (const { scratch } of peeled) await scratch?.close();
  };
  try {
    while (peeled.length < options.maxLayers) {
      const codec = await codecFor(source, peeled.at(-1)?.opened.payload);
      if (codec === undefined) break;
      const layer = await peel(codec, source, { ...options, name: file.name });
      if (isRefusal(layer)) {
        refusal = layer;
        break;
      }
      peeled.push({ codec, around: source, ...layer });
      if (layer.inside === undefined) break;
      source = layer.inside;
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  const kept = peeled.slice();
  while (kept.at(-1)?.opened.payload.kind === 'source') source = kept.pop()?.around ?? file;
  const innermost = kept.at(-1)?.opened.payload;
  const payload =
    innermost?.kind === 'disk'
      ? innermost
      : { size: source.size, runs: () => sourceRuns(source, options.signal) };
  return { layers: kept, payload, refusal, [Symbol.asyncDispose]: dispose };
}

/** By what the container around it says, else by its first bytes. */
async function codecFor(source: Source, from: Payload | undefined): Promise<Codec | undefined> {
  if (from?.kind === 'source' && from.next !== undefined) return codecNamed(from.next);
  const head = new Uint8Array(Math.min(HEAD_BYTES, source.size));
  await source.read(head, 0);
  return detectCodec(head);
}

interface Peeled {
  readonly opened: Opened;
  /** Where to look for the next container; undefined in a disk, which holds none. */
  readonly inside: Source | undefined;
  /** To be closed in the end. */
  readonly scratch: Source | undefined;
}

/** Takes one container off. */
async function peel(
  codec: Codec,
  source: Source,
  { name, writer, pool, signal }: TakeApartOptions & { readonly name: string },
): Promise<Peeled | CodecRefusal> {
  try {
    const opened = await codec.open(source, { pool, signal });
    const { payload } = opened;
    if (payload.kind === 'disk') return { opened, inside: undefined, scratch: undefined };
    if (payload.kind === 'source') return { opened, inside: payload.source, scratch: undefined };
    const runs = payload.runs();
    const { source: scratch } = await writer.addScratch((sink) => runsToSink(runs, sink));
    return { opened, inside: { ...scratch, name }, scratch };
  } catch (error) {
    if (isRefusal(error)) return error;
    throw error;
  }
}
