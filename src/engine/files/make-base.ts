import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobRef } from '../../core/io/digest.ts';
import { hashFile } from '../../core/io/hash-file.ts';
import { openSource, type Source } from '../../core/io/source.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import type { MetalCache } from '../cache/metal-cache.ts';
import { digestLengthFor, encodeContents, toList } from './contents.ts';
import { type Lacking, lackingOf } from './lacking.ts';
import { layOut } from './lay-out.ts';
import { makeFile } from './make-file.ts';
import { orderOnDisk } from './order.ts';
import type { IsoSource, PooledContent } from './sources/iso.ts';
import type { ContentSource, FoundContent, RunOptions } from './sources/source.ts';

export interface MakeBaseOptions {
  /** The root image of the ISO; undefined if its format cannot be read. */
  readonly iso: IsoSource | undefined;
  /** Further sources; each of them alone, like the ISO alone, must suffice later. */
  readonly others: readonly ContentSource[];
  /** The metal disk. */
  readonly disk: Source;
  readonly cache: MetalCache;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
}

export interface MadeBase {
  /** Open, from the cache. */
  readonly source: Source;
  readonly base: BlobRef;
  /** The list of its contents, encoded. */
  readonly list: Uint8Array;
  readonly count: number;
  /** Contents that are on the disk but not in every source. */
  readonly lacking: Lacking;
}

/**
 * Defines the base `files`: the contents that all sources have and that are on the disk, in the order of
 * the disk. All other contents become literals of the delta.
 */
export async function makeBase(options: MakeBaseOptions): Promise<MadeBase> {
  const { iso, others, disk, cache, threads, signal, progress } = options;
  const scratch = await cache.scratch();
  const run = randomBytes(6).toString('hex');
  const poolPath = join(scratch, `pool-${run}.raw`);
  const path = join(scratch, `files-${run}.raw`);
  const inPhase = async <T>(phase: 'unpack' | 'read', body: (run: RunOptions) => Promise<T>) =>
    (
      await step(progress, { subject: 'files', phase }, (onBytes) =>
        body({ threads, signal, onBytes }),
      )
    ).result;
  try {
    const surveys: FoundContent[][] = [];
    for (const source of others) surveys.push(await inPhase('read', (run) => source.survey(run)));
    const pooled = iso
      ? await inPhase('unpack', (run) => iso.pool(poolPath, run))
      : await poolOf(others[0], surveys[0] ?? [], poolPath, scratch, inPhase);
    await using pool = await openSource(poolPath);
    const { result: onDisk } = await step(
      progress,
      { subject: 'files', phase: 'index', total: disk.size },
      (onBytes) => orderOnDisk(pooled, pool, disk, { signal, onBytes }),
    );
    const everywhere = surveys.map((found) => new Set(found.map(({ sha256 }) => sha256)));
    const inAll = ({ sha256 }: FoundContent) => everywhere.every((known) => known.has(sha256));
    const kept = onDisk.filter(inAll);
    await layOut(kept, pool, path, signal);
    const { result: base } = await step(progress, { subject: 'files', phase: 'hash' }, (onBytes) =>
      hashFile(path, { signal, onBytes }),
    );
    const source = await cache.admit(path, base, { digest: base.sha256, signal });
    const length = digestLengthFor([...surveys.flat(), ...pooled]);
    const list = encodeContents(kept, length);
    return {
      ...{ source, base, list },
      count: kept.length,
      lacking: lackingOf(onDisk.filter((content) => !inAll(content))),
    };
  } finally {
    await rm(poolPath, { force: true });
    await rm(path, { force: true });
  }
}

/** Makes the pool of a source that cannot be pooled while it is surveyed. */
async function poolOf(
  source: ContentSource | undefined,
  found: readonly FoundContent[],
  path: string,
  scratch: string,
  inPhase: <T>(phase: 'unpack', body: (run: RunOptions) => Promise<T>) => Promise<T>,
): Promise<PooledContent[]> {
  const list = toList(found, digestLengthFor(found));
  await makeFile(path, list.baseSize);
  const states = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * Math.max(1, list.count));
  await inPhase('unpack', async (run) => source?.fill({ base: path, scratch, list, states }, run));
  return found.map((content, index) => ({ ...content, offset: list.offsets[index] ?? 0 }));
}
