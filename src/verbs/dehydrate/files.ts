import type { MetalVariant } from '../../../images/platforms.ts';
import type { FilesBase } from '../../bundle/recipes.ts';
import type { BundleWriter } from '../../bundle/write.ts';
import { writeRecipe } from '../../codec/recipe-blob.ts';
import type { Arch } from '../../core/arch.ts';
import { UnsupportedError } from '../../core/errors.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { sourceRuns } from '../../core/io/disk-run.ts';
import type { Source } from '../../core/io/source.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { inPhase } from '../../core/progress/step.ts';
import { formatBytes } from '../../core/text/bytes.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import { makeBase } from '../../engine/files/make-base.ts';
import { type IsoSource, openIsoSource } from '../../engine/files/sources/iso.ts';
import { type Containers, openContainer } from '../../engine/files/sources/open-container.ts';
import type { ContentSource } from '../../engine/files/sources/source.ts';
import { indexBase } from '../../formats/delta/base-index.ts';
import { encodeRuns } from '../../formats/delta/encode.ts';
import type { RootImageIso } from '../../formats/iso/root-image.ts';

export interface FilesContext {
  readonly arch: Arch;
  /** Undefined if the ISO has no root image that can be found. */
  readonly root: RootImageIso | undefined;
  readonly containers: Containers | undefined;
  readonly writer: BundleWriter;
  readonly cache: MetalCache;
  readonly signal: AbortSignal | undefined;
  readonly progress: Progress;
}

export interface MadeFiles {
  readonly files: FilesBase;
  /** The base itself, open: the caller closes it. */
  readonly base: Source;
  /** The blobs that make each disk from the base. */
  readonly deltas: ReadonlyMap<MetalVariant, BlobRef>;
}

/**
 * Makes the base `files` of what the ISO and all containers have in common, and the deltas from it to the metal
 * disks. Throws what the sources throw.
 */
export async function makeFiles(
  metal: ReadonlyMap<MetalVariant, Source>,
  context: FilesContext,
): Promise<MadeFiles> {
  const { arch, containers, writer, cache, signal, progress } = context;
  const [disk] = metal.values();
  if (disk === undefined) throw new Error('there is always a metal disk');
  const scratch = await cache.scratch();
  const others: ContentSource[] = [];
  for (const name of containers?.names ?? []) {
    const { connect } = containers ?? {};
    if (connect) others.push(await openContainer(name, { connect, arch, scratch, signal }));
  }
  const iso = await openRoot(context, scratch, { optional: others.length > 0 });
  try {
    const made = await makeBase({ iso, others, disk, cache, signal, progress });
    const { source: base, lacking, count } = made;
    try {
      noteLacking(lacking, progress);
      const { blob: contents } = await writer.addStream((sink) => writeRecipe(made.list, sink));
      const index = await inPhase(
        progress,
        { subject: 'files', phase: 'index', total: base.size },
        (onBytes) => indexBase(base, { signal, onBytes }),
      );
      const deltas = new Map<MetalVariant, BlobRef>();
      for (const [variant, source] of metal) {
        const target = sourceRuns(source, signal);
        const { blob } = await writer.addStream((sink) =>
          inPhase(progress, { subject: variant, phase: 'match', total: source.size }, (onBytes) =>
            encodeRuns({ base, index, target, sink, signal, onBytes }),
          ),
        );
        deltas.set(variant, blob);
      }
      const names = (containers?.names ?? []).map(lastName);
      const { sha256, size } = made.base;
      return {
        files: {
          sha256,
          size,
          contents,
          count,
          iso: iso !== undefined,
          containers: names,
          lacking,
        },
        base,
        deltas,
      };
    } catch (error) {
      await base.close();
      throw error;
    }
  } finally {
    await iso?.[Symbol.asyncDispose]();
  }
}

/** Undefined where the root image cannot be read, but there is a container instead. */
async function openRoot(
  { root, signal, progress }: FilesContext,
  scratch: string,
  { optional }: { readonly optional: boolean },
): Promise<IsoSource | undefined> {
  if (root === undefined) return undefined;
  try {
    const { path: iso, rootImage } = root;
    return await openIsoSource({ iso, rootImage, scratch, signal });
  } catch (error) {
    if (!optional || !(error instanceof UnsupportedError)) throw error;
    const message = `the ISO is left out as a source of files: ${error.message}`;
    progress({ type: 'note', subject: 'files', message });
    return undefined;
  }
}

function noteLacking({ count, bytes, largest }: FilesBase['lacking'], progress: Progress): void {
  if (count === 0) return;
  const [first] = largest;
  const such = first ? `; the largest is ${first.path} (${formatBytes(first.size)})` : '';
  const message = `${count} files (${formatBytes(bytes)}) are not in every source, so the bundle holds them${such}`;
  progress({ type: 'note', subject: 'files', message });
}

/** Paths of folders and files are private; a reference means the same everywhere. */
function lastName(name: string): string {
  if (!/^([./]|oci:|oci-archive:|docker-archive:|dir:)/.test(name)) return name;
  return name.replace(/\/+$/, '').split('/').at(-1) ?? name;
}
