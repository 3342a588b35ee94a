import { join } from 'node:path';
import { OCI_ARCHITECTURE } from '../../core/arch.ts';
import { silent } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { listImages } from '../../engine/files/images/choose.ts';
import { openNamedStore } from '../../engine/files/images/open-store.ts';
import {
  type LayerMember,
  type MemberSink,
  readLayerFiles,
} from '../../engine/files/images/read-files.ts';
import type { ImageStore } from '../../engine/files/images/store.ts';
import type { ImageDescriptor } from '../../formats/oci/image.ts';
import { absentIso, type OtherIso } from './absent.ts';
import type { IsoContext, WantedIso } from './sources.ts';

/**
 * Finds ISOs in a container image, such as OpenShift's `machine-os-images`: hashes files with a wanted size as the
 * layers arrive, the last layer first, and writes nothing else. Reads the images of the wanted architectures, or of
 * the others if the reference has none.
 */
export async function isosFromImage(
  name: string,
  wanted: readonly WantedIso[],
  context: IsoContext,
): Promise<ReadonlyMap<string, string>> {
  const { cache, connect, signal, progress = silent } = context;
  const found = new Map<string, string>();
  const scratch = await cache.scratch();
  for (const { sha256, name: subject, size } of wanted) {
    const path = join(scratch, sha256);
    const what = { subject, phase: 'hash-iso', total: size } as const;
    const cached = await step(progress, what, (onBytes) =>
      cache.take(sha256, path, { signal, onBytes }),
    );
    if (cached.result) found.set(sha256, path);
  }
  const missing = () => wanted.filter(({ sha256 }) => !found.has(sha256));
  if (missing().length === 0) return found;

  const store = await openNamedStore(name, { connect, scratch, signal });
  if (store === undefined) throw new Error(`${name} does not name an image`);
  await using _store = store;
  const others = new Map<string, OtherIso>();
  const digests = new Map<string, string>();
  const layers = await layersFor(store, missing());
  const total = layers.reduce((sum, { size }) => sum + size, 0);
  await step(progress, { subject: name, phase: 'fetch', total }, async (onBytes) => {
    let before = 0;
    for (const layer of layers) {
      if (missing().length === 0) break;
      await readLayerFiles(store, layer, {
        isDone: () => missing().length === 0,
        signal,
        onBytes: (done) => onBytes(before + done),
        visit: async (file) => {
          if (/\.iso$/i.test(file.path)) {
            others.set(file.path, { path: file.path, size: file.size });
          }
          if (/\.sha256$/i.test(file.path)) return digestSink(file, digests);
          const candidates = missing().filter(({ size }) => size === file.size);
          if (candidates.length === 0) return undefined;
          const receiver = await cache.receive(candidates);
          return {
            write: receiver.write,
            async finish() {
              const got = await receiver.finish();
              if (got) found.set(got.blob.sha256, got.path);
            },
            [Symbol.asyncDispose]: () => receiver[Symbol.asyncDispose](),
          };
        },
      });
      before += layer.size;
    }
  });
  if (found.size === 0) {
    const there = [...others.values()].map((iso) => ({ ...iso, sha256: digests.get(iso.path) }));
    throw absentIso(name, wanted, there);
  }
  return found;
}

/** Each layer once, the last of each image first, because an ISO is usually added last. */
async function layersFor(
  store: ImageStore,
  wanted: readonly WantedIso[],
): Promise<readonly ImageDescriptor[]> {
  const names = new Set<string>(wanted.map(({ architecture }) => OCI_ARCHITECTURE[architecture]));
  const own = await listImages(store, (architecture) => names.has(architecture));
  // Attestations have an architecture that does not exist.
  const images =
    own.length > 0 ? own : await listImages(store, (architecture) => architecture !== 'unknown');
  const layers = new Map<string, ImageDescriptor>();
  for (const { manifest } of images) {
    for (const layer of manifest.layers.toReversed()) layers.set(layer.digest, layer);
  }
  return [...layers.values()];
}

const MAX_DIGEST_FILE = 4096;

/** A file that `sha256sum` wrote beside an ISO; for messages only. */
function digestSink(
  { path, size }: LayerMember,
  digests: Map<string, string>,
): MemberSink | undefined {
  if (size > MAX_DIGEST_FILE) return undefined;
  let text = '';
  return {
    async write(bytes) {
      text += Buffer.from(bytes).toString('latin1');
    },
    async finish() {
      const [digest] = /\b[0-9a-f]{64}\b/.exec(text) ?? [];
      const iso = path.replace(/\.sha256$/i, '');
      if (digest === undefined) return;
      digests.set(iso, digest);
      digests.set(`${iso}.iso`, digest);
    },
    async [Symbol.asyncDispose]() {},
  };
}
