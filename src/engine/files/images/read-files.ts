import { throwIfAborted } from '../../../core/errors.ts';
import { unpackLayer } from '../../../formats/layer/unpack.ts';
import type { ImageDescriptor } from '../../../formats/oci/image.ts';
import { createTarDecoder } from '../../../formats/tar/decoder.ts';
import type { ImageStore } from './store.ts';

/** A regular file in a layer. */
export interface LayerMember {
  /** Relative to the root; a byte of the archive is a character. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** Takes the contents of a file. */
export interface MemberSink extends AsyncDisposable {
  write(bytes: Uint8Array): Promise<void>;
  finish(): Promise<void>;
}

export interface ReadFilesOptions {
  /** A sink for the contents of a file; undefined to skip it. */
  readonly visit: (file: LayerMember) => Promise<MemberSink | undefined>;
  /** Nothing more is needed. */
  readonly isDone: () => boolean;
  readonly signal?: AbortSignal | undefined;
  /** Called with the stored bytes read so far. */
  readonly onBytes?: ((done: number) => void) | undefined;
}

/** Limits for a layer, far above the size of any image. */
const LIMITS = { members: 1_000_000, bytes: 256 * 2 ** 30 };

/** Streams a layer past `visit`, without writing anything. Throws what the readers of its formats throw. */
export async function readLayerFiles(
  store: ImageStore,
  layer: ImageDescriptor,
  { visit, isDone, signal, onBytes }: ReadFilesOptions,
): Promise<void> {
  const name = `layer ${layer.digest.slice(0, 12)} of ${store.name}`;
  const decoder = createTarDecoder(name, LIMITS);
  let sink: MemberSink | undefined;
  try {
    for await (const chunk of unpackLayer(name, counted(store.stream(layer), onBytes))) {
      throwIfAborted(signal);
      for (const event of decoder.push(chunk)) {
        if (event.kind === 'data') await sink?.write(event.bytes);
        else if (event.kind === 'complete') {
          await sink?.finish();
          await sink?.[Symbol.asyncDispose]();
          sink = undefined;
          if (isDone()) return;
        } else if (event.member.kind === 'file') {
          sink = await visit(event.member);
        }
      }
      if (decoder.ended) break;
    }
    decoder.finish();
  } finally {
    await sink?.[Symbol.asyncDispose]();
  }
}

async function* counted(
  stored: AsyncIterable<Uint8Array>,
  onBytes: ReadFilesOptions['onBytes'],
): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const chunk of stored) {
    done += chunk.length;
    onBytes?.(done);
    yield chunk;
  }
}
