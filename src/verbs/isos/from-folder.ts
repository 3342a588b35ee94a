import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hashFile } from '../../core/io/hash-file.ts';
import { osError } from '../../core/io/os-error.ts';
import { silent } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { absentIso, type OtherIso } from './absent.ts';
import type { IsoSources, WantedIso } from './sources.ts';

/** Finds files of a folder by SHA-256; reads only those with a wanted size. */
export async function isosFromFolder(
  folder: string,
  wanted: readonly WantedIso[],
  { signal, progress = silent }: Pick<IsoSources, 'signal' | 'progress'>,
): Promise<ReadonlyMap<string, string>> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw osError(error, 'read', folder);
  });
  const found = new Map<string, string>();
  const others: OtherIso[] = [];
  for (const name of names.sort()) {
    const path = join(folder, name);
    const file = await stat(path).catch(() => undefined);
    if (!file?.isFile()) continue;
    if (/\.iso$/i.test(name)) others.push({ path: name, size: file.size });
    const candidates = wanted.filter(
      ({ size, sha256 }) => size === file.size && !found.has(sha256),
    );
    if (candidates.length === 0) continue;
    const what = { subject: name, phase: 'hash-iso', total: file.size } as const;
    const { result } = await step(progress, what, (onBytes) => hashFile(path, { signal, onBytes }));
    if (candidates.some(({ sha256 }) => sha256 === result.sha256)) found.set(result.sha256, path);
  }
  if (found.size === 0) throw absentIso(folder, wanted, others);
  return found;
}
