import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FormatError, throwIfAborted } from '../../../core/errors.ts';
import { osError } from '../../../core/io/os-error.ts';
import { readWhole } from '../../../core/io/regular.ts';
import { contentsInView } from '../view.ts';
import { type Done, type Readers, startReaders } from '../workers/crew.ts';
import { fillWith } from './fill-with.ts';
import type { ContentSource, RunOptions } from './source.ts';

const MAX_FILES = 1_000_000;
const MAX_DEPTH = 64;
/** Bytes and files that a thread is given at a time. */
const BATCH_BYTES = 16 << 20;
const BATCH_FILES = 512;

interface Found {
  readonly path: string;
  readonly size: number;
}

/**
 * A folder with the files of the system, in any layout: an unpacked root, a mounted image, or an OSTree
 * repository (bare and bare-user repositories hold plain files, archive ones deflate them).
 */
export async function openFolderSource(folder: string): Promise<ContentSource> {
  const archive = await isArchiveRepository(folder);
  async function read(readers: Readers, { signal, onBytes }: RunOptions): Promise<Done[]> {
    const files = await listFiles(folder, signal);
    const total = files.reduce((sum, { size }) => sum + size, 0);
    let done = 0;
    return Promise.all(
      batchesOf(files).map(async (batch) => {
        const paths = batch.map(({ path }) => path);
        const result = await readers.run({ kind: 'paths', folder, paths, archive });
        done += batch.reduce((sum, { size }) => sum + size, 0);
        onBytes?.(done, total);
        return result;
      }),
    );
  }
  return {
    name: folder,
    async survey(options) {
      await using readers = startReaders(options);
      const done = await read(readers, options);
      return contentsInView([done.flatMap(({ changes }) => changes)]);
    },
    fill: (target, options) =>
      fillWith(target, options, async (readers) => {
        await read(readers, options);
      }),
  };
}

/** A repository whose config says `mode=archive`, or `archive-z2`, its older name. */
async function isArchiveRepository(folder: string): Promise<boolean> {
  const limit = { limit: 1 << 20, what: 'the config of the repository' };
  const config = String(await readWhole(join(folder, 'config'), limit).catch(() => ''));
  const objects = await lstat(join(folder, 'objects')).catch(() => undefined);
  return objects?.isDirectory() === true && /^\s*mode\s*=\s*archive(-z2)?\s*$/m.test(config);
}

/** Regular files in the order of their names, each once however many names it has. */
async function listFiles(folder: string, signal: AbortSignal | undefined): Promise<Found[]> {
  const files: Found[] = [];
  const seen = new Set<string>();
  async function walk(path: string, depth: number): Promise<void> {
    throwIfAborted(signal);
    const full = join(folder, path);
    const names = await readdir(full, { withFileTypes: true }).catch((error: unknown) => {
      throw osError(error, 'list', full);
    });
    names.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of names) {
      const child = path === '' ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) {
        if (depth < MAX_DEPTH) await walk(child, depth + 1);
        continue;
      }
      if (!entry.isFile()) continue;
      const found = await lstat(join(folder, child)).catch(() => undefined);
      if (!found?.isFile() || found.size === 0) continue;
      const inode = `${found.dev}:${found.ino}`;
      if (seen.has(inode)) continue;
      seen.add(inode);
      files.push({ path: child, size: found.size });
      if (files.length > MAX_FILES) {
        throw new FormatError(`${folder} has more than ${MAX_FILES} files`, {
          code: 'FOLDER_TOO_LARGE',
          context: { folder, limit: MAX_FILES },
          hint: 'name the folder that holds only the system',
        });
      }
    }
  }
  await walk('', 0);
  return files;
}

function batchesOf(files: readonly Found[]): Found[][] {
  const batches: Found[][] = [];
  let room = 0;
  for (const file of files) {
    const last = batches.at(-1);
    if (last === undefined || room <= 0 || last.length >= BATCH_FILES) {
      batches.push([]);
      room = BATCH_BYTES;
    }
    batches.at(-1)?.push(file);
    room -= file.size;
  }
  return batches;
}
