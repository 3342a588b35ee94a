import { type Arch, OCI_ARCHITECTURE } from '../../../core/arch.ts';
import { FormatError, throwIfAborted, UnsupportedError } from '../../../core/errors.ts';
import type { ImageManifest } from '../../../formats/oci/image.ts';
import { chooseImage } from '../images/choose.ts';
import type { ImageStore } from '../images/store.ts';
import { contentsInView } from '../view.ts';
import { type Done, type Readers, startReaders } from '../workers/crew.ts';
import { fillWith } from './fill-with.ts';
import type { ContentSource, RunOptions } from './source.ts';

/** Limit for all layers together, far above the size of an operating system. */
const MAX_MEMBERS = 1_000_000;
const MAX_BYTES = 64 * 2 ** 30;
/** Layers that are downloaded ahead, before a thread is free for them. */
const AHEAD = 2;

/** A container image's contents, for one architecture. Throws UnsupportedError `IMAGE_ARCH`. */
export async function openImageSource(store: ImageStore, arch: Arch): Promise<ContentSource> {
  const image = await chooseImage(store, arch);
  if (image === undefined) {
    throw new UnsupportedError(`${store.name} has no image for ${arch}`, {
      code: 'IMAGE_ARCH',
      context: { image: store.name, architecture: OCI_ARCHITECTURE[arch] },
      hint: 'name a container image of this architecture, or an index that has one',
    });
  }
  return {
    name: store.name,
    async survey(options) {
      await using readers = startReaders(options);
      const layers = await readLayers(store, image, readers, options);
      return contentsInView(layers.map(({ changes }) => changes));
    },
    fill: (target, options) =>
      fillWith(target, options, async (readers) => {
        await readLayers(store, image, readers, options);
      }),
  };
}

/** Reads each layer once, the largest first; the results are in the order of the layers. */
async function readLayers(
  store: ImageStore,
  { layers }: ImageManifest,
  readers: Readers,
  { signal, onBytes }: RunOptions,
): Promise<Done[]> {
  const total = layers.reduce((sum, { size }) => sum + size, 0);
  const read = layers.map(() => 0);
  const results: Done[] = [];
  let members = 0;
  let bytes = 0;
  const queue = [...layers.entries()].sort(([, a], [, b]) => b.size - a.size).values();

  let failed = false;
  async function lane(): Promise<void> {
    for (const [index, ref] of queue) {
      throwIfAborted(signal);
      if (failed) return;
      await using layer = await store.layer(ref);
      const { file, start, length } = layer;
      const job = {
        ...{ kind: 'layer' as const, name: `layer ${index + 1} of ${store.name}` },
        ...{ file, start, length, maxMembers: MAX_MEMBERS - members, maxBytes: MAX_BYTES - bytes },
      };
      const done = await readers.run(job, (now) => {
        read[index] = now;
        onBytes?.(
          read.reduce((sum, one) => sum + one, 0),
          total,
        );
      });
      members += done.changes.length;
      bytes += done.bytes;
      if (members > MAX_MEMBERS || bytes > MAX_BYTES) throw tooLarge(store.name);
      results[index] = done;
    }
  }
  // After a failure, return only when nothing is in progress any more.
  const lanes = Array.from({ length: readers.threads + AHEAD }, () =>
    lane().catch((error: unknown) => {
      failed = true;
      throw error;
    }),
  );
  for (const ended of await Promise.allSettled(lanes)) {
    if (ended.status === 'rejected') throw ended.reason;
  }
  return results;
}

function tooLarge(image: string): FormatError {
  return new FormatError(`${image} unpacks to more than any operating system has`, {
    code: 'IMAGE_TOO_LARGE',
    context: { image, members: MAX_MEMBERS, bytes: MAX_BYTES },
    hint: 'check that the right container image is named',
  });
}
