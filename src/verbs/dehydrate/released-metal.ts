import { randomBytes } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { MetalVariant } from '../../../images/platforms.ts';
import type { CodecPool } from '../../codec/pool.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { osError } from '../../core/io/os-error.ts';
import { fileSink, hashingSink } from '../../core/io/sink.ts';
import { closeAll } from '../../core/io/source.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { inPhase } from '../../core/progress/step.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import type { MetalSources } from '../../engine/cache/regenerate.ts';
import { findReleased, type ReleasedFile, readReleasedOnce } from '../../release/files/released.ts';
import { plainFormat, type StreamArtifact } from '../../release/stream/artifacts.ts';
import { attestedOf, checkFound, fileMissing } from './checks.ts';

export interface ReleasedMetalOptions {
  readonly folder: string;
  readonly cache: MetalCache;
  readonly pool: CodecPool;
  readonly signal: AbortSignal | undefined;
  readonly progress: Progress;
}

/** Bytes; large enough to be worth a thread. */
const LARGE = 2 ** 30;

const VARIANTS: Readonly<Record<string, MetalVariant | undefined>> = {
  raw: 'metal',
  '4k.raw': 'metal4k',
};

/** The artifact that is a metal disk of this variant. */
export function metalArtifact(
  artifacts: readonly StreamArtifact[],
  variant: MetalVariant,
): StreamArtifact | undefined {
  return artifacts.find(
    ({ platform, format }) => platform === 'metal' && VARIANTS[plainFormat(format)] === variant,
  );
}

/**
 * The metal disks as they were released, unpacked into the cache and proved: where the ISO has no osmet that
 * promises them. Throws UnsupportedError `FILE_MISSING`, IntegrityError `RELEASED_DIGEST`, `TARGET_DIGEST`.
 */
export async function releasedMetal(
  artifacts: readonly StreamArtifact[],
  options: ReleasedMetalOptions,
): Promise<{ sources: MetalSources; wanted: Map<MetalVariant, BlobRef> }> {
  const sources: MetalSources = new Map();
  const wanted = new Map<MetalVariant, BlobRef>();
  try {
    for (const variant of ['metal', 'metal4k'] as const) {
      const artifact = metalArtifact(artifacts, variant);
      const file = artifact && (await findReleased(options.folder, artifact));
      if (artifact && file === undefined && variant === 'metal') throw fileMissing(artifact);
      if (artifact === undefined || file === undefined) continue;
      const made = await unpack(artifact, file, variant, options);
      sources.set(variant, made.source);
      wanted.set(variant, made.disk);
    }
    return { sources, wanted };
  } catch (error) {
    await closeAll(sources);
    throw error;
  }
}

async function unpack(
  artifact: StreamArtifact,
  file: ReleasedFile,
  variant: MetalVariant,
  { cache, pool, signal, progress }: ReleasedMetalOptions,
) {
  const path = join(await cache.scratch(), `${variant}-${randomBytes(6).toString('hex')}.raw`);
  const handle = await open(path, 'wx', 0o600).catch((error: unknown) => {
    throw osError(error, 'create', path);
  });
  try {
    let disk: BlobRef;
    try {
      const written = fileSink(handle, path);
      using out = hashingSink(written, pool.hashing(LARGE, signal));
      const reader = readReleasedOnce(file, signal);
      // How long the file will be is not known before its end.
      await inPhase(progress, { subject: variant, phase: 'read' }, async (onBytes) => {
        for await (const chunk of reader.target) {
          await out.write(chunk);
          onBytes(out.bytes);
        }
      });
      await written.finish();
      disk = { sha256: await out.digest(), size: out.bytes };
      checkFound(attestedOf(artifact, file), { target: disk, file: reader.fileDigest(disk) });
    } finally {
      await handle.close();
    }
    const source = await inPhase(
      progress,
      { subject: variant, phase: 'check-base', total: disk.size },
      (onBytes) => cache.admit(path, disk, { signal, onBytes }),
    );
    return { source, disk };
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}
