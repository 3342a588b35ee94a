import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { output } from './cli.ts';
import type { Promised } from './fixture.ts';
import type { Listed } from './release-bundle.ts';

/** Programs other than ours that check images. */

/** Debian's coreutils hash without the processor's SHA instructions: larger files go to OpenSSL, which is much faster. */
const LARGE = 64 * 2 ** 20;

/** SHA-256 by coreutils, or by OpenSSL for a large file. */
export async function sha256sum(path: string): Promise<string> {
  const [program, ...args] =
    (await stat(path)).size < LARGE
      ? (['sha256sum', '--', path] as const)
      : (['openssl', 'dgst', '-sha256', '-r', path] as const);
  return (await output(program, args)).replace(/^\\/, '').slice(0, 64);
}

/** SHA-256 by OpenSSL, for disks that coreutils hash in another test. */
export async function opensslSha256(path: string): Promise<string> {
  return (await output('openssl', ['dgst', '-sha256', '-r', path])).slice(0, 64);
}

export const hasImageFormat = ({ format }: Pick<Promised, 'format'>): boolean =>
  /^(qcow2|vmdk|vhdx)/.test(format);

/**
 * The output of `qemu-img compare` of an image with the released one, and of `qemu-img check` if the format
 * supports it. `scratch` is a path for the unpacked release.
 */
export async function qemuImg(ours: string, artifact: Promised, scratch: string): Promise<string> {
  const driver = artifact.format.replace(/\..*$/, '');
  const unpack =
    'case "$1" in *.xz) xz -dc "$1";; *.gz) gzip -dc "$1";; *.zip) unzip -p "$1";; *) cat "$1";; esac > "$2"';
  await output('sh', ['-c', unpack, 'sh', artifact.released, scratch]);
  // Not strict, because that also compares holes, and our file has more of them.
  const compared = await output('qemu-img', [
    ...['compare', '-f', driver, '-F', driver, scratch, ours],
  ]);
  await output('rm', [scratch]);
  if (driver !== 'qcow2') return compared;
  return `${compared}\n${await output('qemu-img', ['check', '-f', 'qcow2', ours])}`;
}

/** SHA-256 (by OpenSSL) of the file that zstd and rdiff make from a delta of the bundle and its base. */
export async function rdiffPatch(
  bundle: string,
  { recipe }: Listed,
  base: string,
  scratch: string,
): Promise<string> {
  if (recipe.delta === undefined) throw new Error('it has no delta');
  const blob = join(bundle, 'blobs/sha256', recipe.delta.sha256);
  await output('zstd', ['-q', '-d', '-f', blob, '-o', scratch]);
  const pipe = 'set -o pipefail; rdiff patch "$1" "$2" - | openssl dgst -sha256 -r';
  const sum = await output('bash', ['-c', pipe, 'bash', base, scratch]);
  await output('rm', [scratch]);
  return sum.slice(0, 64);
}

/**
 * Starts all `tasks`, two at a time (the programs above have one thread each), and returns a promise for
 * each. The tests await them one after the other.
 */
export function pairwise<K, T>(tasks: ReadonlyMap<K, () => Promise<T>>): (key: K) => Promise<T> {
  const results = new Map<K, PromiseWithResolvers<T>>();
  for (const key of tasks.keys()) {
    const result = Promise.withResolvers<T>();
    result.promise.catch(() => {}); // the test that awaits it reports it
    results.set(key, result);
  }
  const queue = tasks.entries();
  const worker = async () => {
    for (const [key, task] of queue) {
      await task().then(results.get(key)?.resolve, results.get(key)?.reject);
    }
  };
  for (let i = 0; i < 2; i++) worker();
  return (key) => {
    const result = results.get(key);
    if (!result) throw new Error(`no such task: ${String(key)}`);
    return result.promise;
  };
}
