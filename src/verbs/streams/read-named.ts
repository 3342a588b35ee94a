import { UnsupportedError } from '../../core/errors.ts';
import type { Http } from '../../core/http/client.ts';
import { listImages } from '../../engine/files/images/choose.ts';
import { kindOf, namesImage, openNamedStore } from '../../engine/files/images/open-store.ts';
import { readLayerFiles } from '../../engine/files/images/read-files.ts';
import type { Registry } from '../../registry/client.ts';
import type { Reference } from '../../registry/reference.ts';
import { decodeStream, MAX_STREAM_BYTES, readStream } from '../../release/stream/read.ts';
import type { Stream } from '../../release/stream/schema.ts';
import { fetchStream } from '../trust/sources.ts';

export interface NamedStreamOptions {
  readonly http: () => Http;
  readonly connect: (reference: Reference) => Promise<Registry>;
  readonly signal?: AbortSignal | undefined;
}

/** Fedora CoreOS publishes the metadata of its streams here. */
const CHANNELS: Readonly<Record<string, string>> = {
  stable: 'https://builds.coreos.fedoraproject.org/streams/stable.json',
  testing: 'https://builds.coreos.fedoraproject.org/streams/testing.json',
  next: 'https://builds.coreos.fedoraproject.org/streams/next.json',
};

/** Where OpenShift's `machine-os-images` has it. */
const IN_IMAGE = /^coreos\/coreos\d*-stream\.json$/;

/**
 * Reads the stream JSON that --stream names: a file, a URL, a stream of Fedora CoreOS (`stable`, `testing`, `next`; a file of
 * that name comes first), or a container image that holds it. Throws what {@link readStream} and the readers
 * throw, UnsupportedError `STREAM_ABSENT`.
 */
export async function readNamedStream(
  name: string,
  options: NamedStreamOptions,
): Promise<{ stream: Stream; bytes: Buffer }> {
  const { http, signal } = options;
  if (namesImage(name)) return decoded(await streamInImage(name, options), name);
  const isUrl = /^https?:\/\//i.test(name);
  const channel =
    Object.hasOwn(CHANNELS, name) && (await kindOf(name)) === undefined
      ? CHANNELS[name]
      : undefined;
  const url = isUrl ? name : channel;
  if (url === undefined) return readStream(name, signal);
  return decoded(await fetchStream(url, { http, signal }), url);
}

const decoded = (bytes: Buffer, source: string) => ({ stream: decodeStream(bytes, source), bytes });

async function streamInImage(
  name: string,
  { connect, signal }: NamedStreamOptions,
): Promise<Buffer> {
  // No layer is written anywhere.
  const store = await openNamedStore(name, { connect, scratch: '', signal });
  if (store === undefined) throw new Error(`${name} does not name an image`);
  await using _store = store;
  let found: Buffer | undefined;
  for (const { manifest } of await listImages(store, (one) => one !== 'unknown')) {
    for (const layer of manifest.layers.toReversed()) {
      await readLayerFiles(store, layer, {
        signal,
        isDone: () => found !== undefined,
        async visit({ path, size }) {
          if (!IN_IMAGE.test(path) || size > MAX_STREAM_BYTES) return undefined;
          const parts: Buffer[] = [];
          return {
            async write(bytes) {
              parts.push(Buffer.from(bytes));
            },
            async finish() {
              found = Buffer.concat(parts);
            },
            async [Symbol.asyncDispose]() {},
          };
        },
      });
      if (found) return found;
    }
  }
  throw new UnsupportedError(`${name} has no coreos/coreos-stream.json`, {
    code: 'STREAM_ABSENT',
    context: { image: name },
    hint: 'name the machine-os-images image of an OpenShift release, or a file',
  });
}
