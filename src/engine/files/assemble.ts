import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { IntegrityError, UnsupportedError } from '../../core/errors.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import type { Source } from '../../core/io/source.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { formatBytes } from '../../core/text/bytes.ts';
import type { MetalCache } from '../cache/metal-cache.ts';
import type { ContentList } from './contents.ts';
import { makeFile } from './make-file.ts';
import type { ContentSource } from './sources/source.ts';
import { FILLED } from './workers/messages.ts';

export interface AssembleOptions {
  readonly list: ContentList;
  /** The expected base. */
  readonly base: BlobRef;
  /** Opened and used one after the other until nothing is missing. */
  readonly sources: readonly (() => Promise<ContentSource & Partial<AsyncDisposable>>)[];
  readonly cache: MetalCache;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
}

export interface Assembled {
  /** The open base, from the cache. */
  readonly source: Source;
  /** The sources of its contents. */
  readonly from: readonly string[];
}

/**
 * Assembles the base `files` from sources that have its contents; the cache proves and keeps it. Throws
 * UnsupportedError `FILES_LACKING` if the sources do not have all contents.
 */
export async function assembleBase(options: AssembleOptions): Promise<Assembled> {
  const { list, base, sources, cache, threads, signal, progress } = options;
  const scratch = await cache.scratch();
  const path = join(scratch, `files-${randomBytes(6).toString('hex')}.raw`);
  const states = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * Math.max(1, list.count));
  const from: string[] = [];
  await makeFile(path, list.baseSize);
  try {
    for (const open of sources) {
      const source = await open();
      try {
        await step(progress, { subject: 'files', phase: 'unpack' }, (onBytes) =>
          source.fill({ base: path, scratch, list, states }, { threads, signal, onBytes }),
        );
      } finally {
        await source[Symbol.asyncDispose]?.();
      }
      from.push(source.name);
      if (lackingOf(list, states).count === 0) break;
    }
    refuseLacking(list, states, from);
    const { result } = await step(
      progress,
      { subject: 'files', phase: 'check-base', total: base.size },
      (onBytes) => admit(path, { cache, base, signal, onBytes }),
    );
    return { source: result, from };
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

interface AdmitOptions extends Pick<AssembleOptions, 'cache' | 'base' | 'signal'> {
  readonly onBytes: (done: number) => void;
}

async function admit(path: string, { cache, base, ...options }: AdmitOptions): Promise<Source> {
  try {
    return await cache.admit(path, base, options);
  } catch (error) {
    const isWrong = error instanceof IntegrityError && /^BASE_/.test(error.code);
    if (!isWrong) throw error;
    throw new IntegrityError('the files do not add up to the base that the bundle describes', {
      code: 'FILES_DIGEST',
      context: error.context,
      hint: 'its list of contents is damaged: pull or copy the bundle again',
      cause: error,
    });
  }
}

function lackingOf({ count, sizes }: ContentList, states: SharedArrayBuffer) {
  const state = new Int32Array(states);
  let lacking = 0;
  let bytes = 0;
  for (let index = 0; index < count; index++) {
    if (state[index] === FILLED) continue;
    lacking++;
    bytes += sizes[index] ?? 0;
  }
  return { count: lacking, bytes };
}

function refuseLacking(
  list: ContentList,
  states: SharedArrayBuffer,
  from: readonly string[],
): void {
  const { count, bytes } = lackingOf(list, states);
  if (count === 0) return;
  const names = from.join(' and ') || 'no source';
  throw new UnsupportedError(
    `${names} lacks ${count} of the ${list.count} files of the disk (${formatBytes(bytes)})`,
    {
      code: 'FILES_LACKING',
      context: { sources: names, lacking: count, bytes, files: list.count },
      hint: 'name the container image, or the ISO, that the bundle was made with',
    },
  );
}
