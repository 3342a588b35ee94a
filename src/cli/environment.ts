import { stat } from 'node:fs/promises';
import { homedir, release, tmpdir, type } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { osError } from '../core/io/os-error.ts';
import { makeScratch, reclaimScratch } from '../core/io/scratch.ts';
import { type MetalCache, openMetalCache } from '../engine/cache/metal-cache.ts';
import type { MetalEngine } from '../engine/engine.ts';
import type { CliIo } from './io.ts';
import type { CacheOptions, EngineOptions } from './option-groups.ts';
import { version } from './version.ts';

type Environment = CliIo['env'];

/** XDG Base Directory: a relative or empty variable counts as unset. */
function xdg(env: Environment, variable: string, fallback: string): string {
  const value = env[variable];
  const base = value && isAbsolute(value) ? value : join(env.HOME || homedir(), fallback);
  return join(base, 'iso-rehydrate');
}

export function cacheFolder(env: Environment): string {
  return xdg(env, 'XDG_CACHE_HOME', '.cache');
}

export function configFolder(env: Environment): string {
  return xdg(env, 'XDG_CONFIG_HOME', '.config');
}

export function logFolder(env: Environment): string {
  return join(xdg(env, 'XDG_STATE_HOME', '.local/state'), 'logs');
}

/** The bundle that a command works on. */
export function bundleOf(
  { bundle }: { readonly bundle?: string | undefined },
  { env }: CliIo,
): string {
  return bundle ?? (env.ISO_REHYDRATE_BUNDLE || 'bundle');
}

/** Versions of everything that helps to make images. The engine reports QEMU's version itself. */
export function toolsOf({ versions, hostArch }: CliIo): Record<string, string> {
  const { node = 'unknown', openssl = 'unknown', zlib = 'unknown', zstd = 'unknown' } = versions;
  const system = `${type()} ${release()} ${hostArch}`;
  return { 'iso-rehydrate': version(), node, openssl, zlib, zstd, system };
}

export function engineFor(options: EngineOptions, io: CliIo): MetalEngine {
  const { engine = 'qemu', accel, timeoutScale } = options;
  const logDir = options.logDir ?? logFolder(io.env);
  return {
    ...io.createEngine({ engine, accel, logDir, timeoutScale }),
    named: options.engine !== undefined,
  };
}

/**
 * The cache that the options select. With --no-cache, a temporary folder in `beside` takes its place: the
 * output goes there, so there is room. It is removed on dispose. `beside` must exist.
 */
export async function cacheFor(
  options: CacheOptions,
  io: CliIo,
  beside: string = tmpdir(),
): Promise<MetalCache> {
  if (options.cache) {
    const dir = options.cacheDir ?? cacheFolder(io.env);
    return openMetalCache({ dir, maxBytes: options.cacheSize });
  }
  const prefix = join(beside, '.iso-rehydrate-cache-');
  await reclaimScratch(prefix);
  const scratch = await makeScratch(prefix).catch((error: unknown) => {
    throw osError(error, 'write to', beside);
  });
  const remove = () => scratch[Symbol.asyncDispose]();
  try {
    const cache = await openMetalCache({ dir: scratch.path, maxBytes: Number.POSITIVE_INFINITY });
    const dispose = async () => {
      try {
        await cache[Symbol.asyncDispose]();
      } finally {
        await remove();
      }
    };
    return { ...cache, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** The nearest existing folder at or above a path: its file system will hold the bytes. */
export async function existingFolder(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  const parent = dirname(path);
  return found?.isDirectory() || parent === path ? path : existingFolder(parent);
}
