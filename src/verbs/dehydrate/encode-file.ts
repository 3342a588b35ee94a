import type { Container } from '../../../images/platforms.ts';
import type { Recipe } from '../../bundle/recipes.ts';
import type { BundleWriter } from '../../bundle/write.ts';
import { MAX_LAYERS } from '../../codec/codec.ts';
import type { CodecPool } from '../../codec/pool.ts';
import type { ReleasedLayer } from '../../codec/released/layer.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import type { Progress } from '../../core/progress/progress.ts';
import type { ReleasedFile } from '../../release/files/released.ts';
import { type AttestedFile, checkFound } from './checks.ts';
import { matchPayload } from './match.ts';
import { type OpaqueWatch, watchOpaque } from './opaque.ts';
import type { OpenBase } from './open-base.ts';
import { type OpenFile, type OpenFileOptions, openFile } from './open-file.ts';
import { type CodecRefusal, isRefusal, type TakenApart, takeApart } from './take-apart.ts';

export interface EncodeFileOptions extends Pick<OpenFileOptions, 'kinds' | 'blocks'> {
  readonly file: ReleasedFile;
  /** Checks before any blob is written, so that nothing of a wrong file gets into the bundle. */
  readonly attested: AttestedFile;
  readonly base: OpenBase;
  readonly writer: BundleWriter;
  readonly pool: CodecPool;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
  /** For progress. */
  readonly subject: string;
}

export interface EncodedFile {
  /** The uncompressed file. */
  readonly target: BlobRef;
  /** Digest of the released file; undefined if an already unpacked copy was read. */
  readonly releasedSize: number | undefined;
  /** How the target is compressed to the released file, if that can be done again. */
  readonly layer: ReleasedLayer | undefined;
  readonly recipe: Recipe;
  readonly container: Container;
}

/**
 * Makes the recipe of a released file and writes its blobs: opens the file, proves it, removes its
 * containers and matches the contents with the base. A codec may refuse a file as late as its end; then the
 * container is kept. Resolves to undefined for a file that had to be taken apart (`onlyApart`) but cannot
 * be. Throws what {@link checkFound} throws.
 */
export async function encodeFile(
  options: EncodeFileOptions,
  { onlyApart = false }: { readonly onlyApart?: boolean } = {},
): Promise<EncodedFile | undefined> {
  const { attested, base } = options;
  await using opened = await openFile(options.file, { ...options, about: base.size });

  const prove = async () => checkFound(attested, await opened.found());
  for (let maxLayers = MAX_LAYERS; ; ) {
    await using apart = await takeContainersOff(opened, { ...options, maxLayers });
    // If the file is the released one, a codec's refusal says nothing against the release.
    if (apart.refusal) {
      await prove();
      noteRefusal(apart.refusal, options);
    }
    if (apart.layers.length === 0 && onlyApart) return undefined;

    const opaque = watchOpaque();
    const { payload, layers } = apart;
    const watched = { ...payload, runs: () => opaque.watch(payload.runs()) };
    const matched = await matchPayload({ layers, payload: watched }, { ...options, prove });
    if (!isRefusal(matched)) {
      noteOpaque(matched, opaque, options);
      const { file, target } = await opened.found();
      const releasedSize = attested.file === undefined ? undefined : file.size;
      const [container, layer] = [opened.container(), opened.layer()];
      return { recipe: matched, container, target, releasedSize, layer };
    }
    await prove();
    noteRefusal(matched, options);
    maxLayers = apart.layers.length - 1;
  }
}

/** A file that is only streamed is encoded without taking it apart. */
async function takeContainersOff(
  { source, runs }: OpenFile,
  options: EncodeFileOptions & { readonly maxLayers: number },
): Promise<TakenApart> {
  if (source) return takeApart(source, options);
  const payload = { size: undefined, runs };
  return { layers: [], payload, refusal: undefined, [Symbol.asyncDispose]: async () => {} };
}

/** Bytes of a delta for which nobody asks why it is large. */
const SMALL = 1 << 20;

/** Says why nothing of the file is in a base. Compressed data that is, such as an initrd's, needs no note. */
function noteOpaque(
  recipe: Recipe,
  opaque: OpaqueWatch,
  { subject, progress }: EncodeFileOptions,
): void {
  const found = opaque.found();
  if (found === undefined || !('delta' in recipe) || recipe.delta.size < SMALL) return;
  const message = `its delta has ${recipe.delta.size} bytes: the contents are ${found}, and no codec takes that apart`;
  progress({ type: 'note', subject, message });
}

function noteRefusal(
  { message }: CodecRefusal,
  { file, subject, progress }: EncodeFileOptions,
): void {
  const reason = message.replace(`${file.path}: `, '').replaceAll(file.path, 'it');
  progress({ type: 'note', subject, message: `not taken apart: ${reason}` });
}
