import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import type { Arch } from '../../core/arch.ts';
import { UsageError } from '../../core/errors.ts';
import { sizeField, textField } from '../../core/json/fields.ts';
import { type Progress, silent } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import { lackingOf } from '../../engine/files/lacking.ts';
import { openIsoSource } from '../../engine/files/sources/iso.ts';
import { type Containers, openContainer } from '../../engine/files/sources/open-container.ts';
import type { FoundContent } from '../../engine/files/sources/source.ts';
import { openRootImageIso } from '../../formats/iso/root-image.ts';
import { findReleased } from '../../release/files/released.ts';
import type { StreamArtifact } from '../../release/stream/artifacts.ts';

const countField = v.pipe(v.number(), v.integer(), v.minValue(0));

/** Files that a bundle would hold because a container lacks them. */
export const lackingSchema = v.object({
  /** Distinct contents of the ISO's root image. */
  count: countField,
  /** Those that at least one of the containers lacks: an upper bound, because not all are on the disk. */
  lacking: v.object({
    count: countField,
    bytes: sizeField,
    largest: v.array(v.object({ path: textField(4096), size: sizeField })),
  }),
});

export interface ContainersEstimate {
  readonly containers: Containers;
  /** Holds the unpacked root image for a while. */
  readonly cache: MetalCache;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

/**
 * Reads all files of an ISO and of container images, and compares their contents. Throws UsageError `ESTIMATE_ISO`
 * without the ISO at hand, and what the readers throw.
 */
export async function estimateLacking(
  arch: Arch,
  iso: StreamArtifact,
  folder: string | undefined,
  { containers, cache, signal, progress = silent }: ContainersEstimate,
): Promise<v.InferOutput<typeof lackingSchema>> {
  const found = folder === undefined ? undefined : await findReleased(folder, iso);
  if (found === undefined) {
    throw new UsageError(`what a container lacks is known only with the ISO: ${iso.releasedName}`, {
      code: 'ESTIMATE_ISO',
      context: { architecture: arch, location: iso.location },
      hint: 'put it into a folder and name that with --artifacts, or leave --container out',
    });
  }
  const scratch = await cache.scratch();
  const { rootImage } = await openRootImageIso(found.path, signal);
  const { names, connect } = containers;
  const have: Set<string>[] = [];
  for (const name of names) {
    const source = await openContainer(name, { connect, arch, scratch, signal });
    const { result } = await step(progress, { subject: 'files', phase: 'read' }, (onBytes) =>
      source.survey({ signal, onBytes }),
    );
    have.push(new Set(result.map(({ sha256 }) => sha256)));
  }
  await using source = await openIsoSource({ iso: found.path, rootImage, scratch, signal });
  const pool = join(scratch, `pool-${randomBytes(6).toString('hex')}.raw`);
  let all: FoundContent[];
  try {
    const { result } = await step(progress, { subject: 'files', phase: 'unpack' }, (onBytes) =>
      source.pool(pool, { signal, onBytes }),
    );
    all = result;
  } finally {
    await rm(pool, { force: true });
  }
  const lacking = all.filter(({ sha256 }) => !have.every((known) => known.has(sha256)));
  return { count: all.length, lacking: lackingOf(lacking) };
}
