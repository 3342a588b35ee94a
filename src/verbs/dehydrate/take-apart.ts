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
import type { DiskRun } from '../../core/io/disk-run.ts';
import { runsToSink, sourceRuns } from '../../core/io/disk-run.ts';
import type { Source } from '../../core/io/source.ts';
import { checkSize } from '../../core/plausible.ts';
import { kindOf } from '../../formats/compressed/kind.ts';

/** A file without its containers. Dispose of it after reading the payload. */
export interface TakenApart extends AsyncDisposable {
  /** Outermost first; none if no codec applies. */
  readonly layers: readonly Layer[];
  /** The contents of the innermost layer; can be read only once. */
  readonly payload: Inside;
  /** Why a codec refused to take it further apart. */
  readonly refusal: CodecRefusal | undefined;
}

/** Like a codec's disk, but the size of a streamed file is not known before its end. */
export interface Inside extends Omit<Payload & { kind: 'disk' }, 'kind' | 'size'> {
  readonly size: number | undefined;
}

export interface Layer {
  readonly codec: Codec;
  readonly opened: Opened;
}

/** Thrown by a codec that cannot reproduce a file: on opening, while it is read, or at its end. */
export type CodecRefusal = FormatError | UnsupportedError;

export const isRefusal = (error: unknown): error is CodecRefusal =>
  error instanceof FormatError || error instanceof UnsupportedError;

export interface TakeApartOptions extends CodecContext {
  /** Go no deeper than this. */
  readonly maxLayers: number;
  /** Stores the contents that a codec unpacks, for the next codec. */
  readonly writer: Pick<BundleWriter, 'addScratch'>;
}

/** The codec for a file, judged by its first bytes. */
export function detectCodec(head: Uint8Array): Codec | undefined {
  return CODECS.find((codec) => codec.detect(head));
}

/**
 * Removes the containers around a file one by one, recognized by their bytes, as far as the codecs succeed.
 * A container that holds its payload unchanged (a tar of a raw disk) is kept, because the matcher finds the
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
      if (codec === undefined) {
        if (peeled.length > 0) refusal = await compressedLayer(source, file.name);
        break;
      }
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

/** The codec named by the container around it, else judged by its first bytes. */
async function codecFor(source: Source, from: Payload | undefined): Promise<Codec | undefined> {
  if (from?.kind === 'source' && from.next !== undefined) return codecNamed(from.next);
  return detectCodec(await headOf(source));
}

async function headOf(source: Source): Promise<Uint8Array> {
  const head = new Uint8Array(Math.min(HEAD_BYTES, source.size));
  await source.read(head, 0);
  return head;
}

/** Compressed contents that no codec reproduces, such as a zstd layer: they match nothing in a base. */
async function compressedLayer(source: Source, name: string): Promise<CodecRefusal | undefined> {
  const kind = kindOf(await headOf(source));
  if (kind === undefined) return undefined;
  return new UnsupportedError(`${name} contains .${kind} data, which no codec reproduces`, {
    code: 'LAYER_COMPRESSED',
    context: { file: name, kind },
  });
}

interface Peeled {
  readonly opened: Opened;
  /** Where to look for the next container; undefined for a disk, which contains none. */
  readonly inside: Source | undefined;
  /** The caller closes these. */
  readonly scratch: Source | undefined;
}

/** Removes one container. */
async function peel(
  codec: Codec,
  source: Source,
  { name, writer, pool, signal }: TakeApartOptions & { readonly name: string },
): Promise<Peeled | CodecRefusal> {
  try {
    const opened = await codec.open(source, { pool, signal });
    const { payload } = opened;
    if (payload.kind === 'disk') checkSize(`the disk in ${name}`, payload.size);
    if (payload.kind === 'disk') return { opened, inside: undefined, scratch: undefined };
    if (payload.kind === 'source') return { opened, inside: payload.source, scratch: undefined };
    const runs = limited(payload.runs(), name);
    const { source: scratch } = await writer.addScratch((sink) => runsToSink(runs, sink));
    return { opened, inside: { ...scratch, name }, scratch };
  } catch (error) {
    if (isRefusal(error)) return error;
    throw error;
  }
}

/** A few bytes can unpack to endless data. */
async function* limited(runs: AsyncIterable<DiskRun>, name: string): AsyncGenerator<DiskRun> {
  let bytes = 0;
  for await (const run of runs) {
    bytes += run.kind === 'data' ? run.bytes.length : run.length;
    checkSize(`what is in ${name}`, bytes);
    yield run;
  }
}
