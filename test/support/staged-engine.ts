import type { Arch } from '../../src/core/arch.ts';
import type { MetalEngine } from '../../src/engine/engine.ts';

export interface StagedEngine extends MetalEngine {
  /** Architectures, in the order in which they booted. */
  readonly boots: Arch[];
  /** The largest number of boots at the same time. */
  readonly most: () => number;
}

/** An engine whose boots are recorded and which `stage` can delay or make fail. */
export function stagedEngine(
  engine: MetalEngine,
  stage: (arch: Arch, signal: AbortSignal | undefined) => Promise<void> = async () => {},
): StagedEngine {
  const boots: Arch[] = [];
  let running = 0;
  let most = 0;
  return {
    ...engine,
    boots,
    most: () => most,
    async regenerate(request) {
      const { iso, progress, signal } = request;
      boots.push(iso.arch);
      most = Math.max(most, ++running);
      try {
        progress?.({ type: 'phase', subject: `${iso.arch} vm`, phase: 'boot' });
        await stage(iso.arch, signal);
        return await engine.regenerate(request);
      } finally {
        running--;
      }
    },
  };
}

/** Resolves for all callers once `count` of them wait, so they must run side by side. */
export function meeting(count: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let waiting = 0;
  return () => {
    if (++waiting === count) resolve();
    return promise;
  };
}

/** Never resolves; rejects like an engine that is cancelled. */
export function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const stop = () => reject(signal?.reason);
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}
