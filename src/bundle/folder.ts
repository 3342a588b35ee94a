import { lstat, readdir, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { UsageError } from '../core/errors.ts';
import { syncFolder } from '../core/io/atomic.ts';
import { exchangeFolders } from '../core/io/exchange.ts';
import { isAbsent, osError } from '../core/io/os-error.ts';
import { readWhole } from '../core/io/regular.ts';

export const MAX_INDEX_BYTES = 1 << 20;

/** Prefix of hidden, unfinished files and folders, which lie beside their final names. */
export const WORK_PREFIX = '.iso-rehydrate-';

/** What exists at the path for a new bundle. */
export type FolderState =
  | { readonly kind: 'absent' }
  | { readonly kind: 'empty' }
  /** An OCI image layout, finished or not. */
  | {
      readonly kind: 'layout';
      /** Relative paths in it that are not part of a bundle; links never are. */
      readonly foreign: readonly string[];
    }
  | { readonly kind: 'other' };

/** The path that a bundle is written to: a link to a folder is followed, so that the link itself stays. */
export async function resolveTarget(path: string): Promise<string> {
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch {
    return absolute;
  }
}

export async function folderState(path: string): Promise<FolderState> {
  try {
    if (!(await lstat(path)).isDirectory()) return { kind: 'other' };
    const names = await readdir(path);
    if (names.length === 0) return { kind: 'empty' };
    if (!names.includes('oci-layout')) return { kind: 'other' };
    return { kind: 'layout', foreign: await foreignIn(path) };
  } catch (error) {
    if (isAbsent(error)) return { kind: 'absent' };
    throw osError(error, 'look at', path);
  }
}

/** Which folders a bundle has, by relative path, and which files are in them. */
const LAYOUT: Readonly<Record<string, { folders: readonly string[]; files: RegExp }>> = {
  '': { folders: ['blobs'], files: /^(oci-layout|index\.json)$/ },
  blobs: { folders: ['sha256'], files: /^$/ },
  'blobs/sha256': { folders: [], files: /^[0-9a-f]{64}(\.part)?$/ },
};

async function foreignIn(root: string): Promise<string[]> {
  const foreign: string[] = [];
  for (const [folder, { folders, files }] of Object.entries(LAYOUT)) {
    if (foreign.some((path) => `${folder}/`.startsWith(`${path}/`))) continue;
    const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const { name } = entry;
      const isOurs = entry.isDirectory()
        ? folders.includes(name)
        : entry.isFile() && (files.test(name) || isWork(name));
      if (!isOurs) foreign.push(join(folder, name));
    }
  }
  return foreign;
}

/** A file that was being written when its process was killed. */
const isWork = (name: string) => name.startsWith(WORK_PREFIX) && name.endsWith('.part');

/**
 * Throws UsageError `BUNDLE_EXISTS` if something is at the target that must not be replaced: only a bundle is,
 * only by force, and only if nothing else is in its folder.
 */
export async function refuseTaken(target: string, force: boolean): Promise<void> {
  const state = await folderState(target);
  if (state.kind === 'absent' || state.kind === 'empty') return;
  if (state.kind === 'other') {
    throw taken(`${target} exists and is not a bundle`, target, 'only bundles are ever replaced');
  }
  if (!force) {
    throw taken(`there is a bundle at ${target} already`, target, 'or replace it with --force');
  }
  refuseForeign(target, state.foreign);
}

/** Throws UsageError `BUNDLE_EXISTS` over files that do not belong to a bundle. */
export function refuseForeign(target: string, foreign: readonly string[]): void {
  const [first] = foreign;
  if (first === undefined) return;
  const more = foreign.length > 1 ? ` and ${foreign.length - 1} more` : '';
  throw taken(
    `the bundle at ${target} holds something that is not part of it: ${first}${more}`,
    target,
    `or move ${first} elsewhere`,
  );
}

export function taken(message: string, target: string, hint: string): UsageError {
  return new UsageError(message, {
    code: 'BUNDLE_EXISTS',
    context: { target },
    hint: `choose another -o; ${hint}`.replace('; or', ', or'),
  });
}

/** Moves the finished folder `made` to `target`; a bundle that may be replaced is removed only after that. */
export async function putInPlace(
  made: string,
  target: string,
  { replace }: { readonly replace: boolean },
): Promise<void> {
  try {
    const { kind } = await folderState(target);
    if (!replace || kind === 'absent' || kind === 'empty') {
      await rename(made, target);
      await syncFolder(dirname(target));
      return;
    }
    await exchangeFolders(made, target);
    await rm(made, { recursive: true, force: true });
  } catch (error) {
    throw osError(error, 'write', target);
  }
}

/** Whether two bundles have the same index, and so the same blobs: both were complete when they got it. */
export async function isSameBundle(one: string, other: string): Promise<boolean> {
  const index = (path: string) =>
    readWhole(join(path, 'index.json'), { limit: MAX_INDEX_BYTES, what: 'index.json' });
  const state = await folderState(other);
  if (state.kind !== 'layout' || state.foreign.length > 0) return false;
  try {
    return (await index(one)).equals(await index(other));
  } catch {
    return false;
  }
}

/** Where the bundle for `target` is made: a prefix for mkdtemp, on the same file system. */
export const besideTarget = (target: string) =>
  join(dirname(target), `${WORK_PREFIX}${basename(target)}-`);
