import { randomBytes } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { MetalVariant } from '../../../images/platforms.ts';
import type { Bundle } from '../../bundle/read.ts';
import type { FilesBase, MetalBase } from '../../bundle/recipes.ts';
import { readRecipe } from '../../codec/recipe-blob.ts';
import { FormatError, IntegrityError } from '../../core/errors.ts';
import { osError } from '../../core/io/os-error.ts';
import { fileSink } from '../../core/io/sink.ts';
import { closeAll, type Source } from '../../core/io/source.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { applyDelta } from '../../formats/delta/apply.ts';
import type { MetalCache } from '../cache/metal-cache.ts';
import type { MetalSources } from '../cache/regenerate.ts';
import type { EngineReport } from '../engine.ts';
import { type AssembleOptions, assembleBase } from './assemble.ts';
import { decodeContents, MAX_LIST_BYTES } from './contents.ts';

export interface FilesRoadOptions extends Pick<AssembleOptions, 'sources'> {
  readonly bundle: Bundle;
  readonly files: FilesBase;
  readonly cache: MetalCache;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
}

/**
 * Makes metal disks without an osmet: puts the base `files` together, unless the cache has it, and patches it.
 * Each disk is proved by a read of its own. The returned sources are the caller's to close. Throws what
 * {@link assembleBase} throws, FormatError for a damaged delta, IntegrityError `BASE_DIGEST`.
 */
export async function metalsFromFiles(
  wanted: ReadonlyMap<MetalVariant, MetalBase>,
  options: FilesRoadOptions,
): Promise<{ sources: MetalSources; report: EngineReport }> {
  const started = performance.now();
  const { source: base, from } = await baseFor(options);
  const assembled = performance.now();
  const sources: MetalSources = new Map();
  try {
    for (const [variant, metal] of wanted) {
      sources.set(variant, await patchMetal(variant, metal, base, options));
    }
  } catch (error) {
    await closeAll(sources);
    throw error;
  } finally {
    await base.close();
  }
  const detail = from.length > 0 ? `the files of ${from.join(' and ')}` : 'files in the cache';
  const seconds = {
    unpack: Math.round(assembled - started) / 1000,
    patch: Math.round(performance.now() - assembled) / 1000,
  };
  return { sources, report: { engine: 'files', detail, seconds } };
}

async function baseFor(options: FilesRoadOptions) {
  const { bundle, files, cache, signal } = options;
  const cached = await cache.lookup(files);
  if (cached) return { source: cached, from: [] };
  const blob = await bundle.readWholeBlob(files.contents, MAX_LIST_BYTES, signal);
  const list = decodeContents(readRecipe(blob, 'the list of contents'), 'the list of contents');
  if (list.baseSize !== files.size) {
    throw new FormatError(`the list of contents is for a different base: ${list.baseSize} bytes`, {
      code: 'CONTENTS_BAD',
      context: { expected: files.size, found: list.baseSize },
      hint: 'fetch the bundle again; this list is damaged',
    });
  }
  return assembleBase({ ...options, list, base: files });
}

async function patchMetal(
  variant: MetalVariant,
  { sha256, size, delta }: MetalBase,
  base: Source,
  { bundle, cache, files, signal, progress }: FilesRoadOptions,
): Promise<Source> {
  if (delta === undefined) throw new Error(`${variant} is not made from files`);
  const path = join(await cache.scratch(), `${variant}-${randomBytes(6).toString('hex')}.raw`);
  const handle = await open(path, 'wx', 0o600).catch((error: unknown) => {
    throw osError(error, 'create', path);
  });
  try {
    try {
      const sink = fileSink(handle, path);
      await step(progress, { subject: variant, phase: 'patch', total: size }, (onBytes) =>
        applyDelta({
          ...{ base, sink, signal, onBytes, name: `the delta of ${variant}` },
          delta: bundle.readBlob(delta, signal),
          // The cache proves the contents of the file.
          expected: { size },
        }),
      );
      await sink.finish();
    } finally {
      await handle.close();
    }
    const { result } = await step(
      progress,
      { subject: variant, phase: 'check-base', total: size },
      (onBytes) => cache.admit(path, { sha256, size }, { signal, onBytes }),
    );
    return result;
  } catch (error) {
    await rm(path, { force: true });
    if (!(error instanceof IntegrityError) || !/^BASE_/.test(error.code)) throw error;
    await cache.evict(files.sha256); // it may have rotted there
    throw new IntegrityError(`the ${variant} disk does not have the SHA-256 of the bundle`, {
      code: 'BASE_DIGEST',
      context: error.context,
      hint: 'try again; if it fails once more, fetch the bundle again',
      cause: error,
    });
  }
}
