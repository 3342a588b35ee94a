import { constants } from 'node:fs';
import { access, lstat, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import type { RecipeArtifact } from '../../bundle/recipes.ts';
import { UsageError } from '../../core/errors.ts';
import { tidyFolder } from '../../core/io/atomic.ts';
import { checkDeviceFor, type DeviceImage, isBlockDevice } from '../../core/io/device.ts';
import { makeFolder } from '../../core/io/folders.ts';
import { hashFile } from '../../core/io/hash-file.ts';
import { isAbsent, osError } from '../../core/io/os-error.ts';
import type { MadeFile } from '../make/made-file.ts';

/** The destination of rehydrated files. */
export type Output =
  /** One artifact, at this path. */
  | { readonly kind: 'file'; readonly path: string }
  /** Each artifact under its released name (of targets, without compression) in this folder. */
  | { readonly kind: 'folder'; readonly path: string }
  /** One artifact as it is, several as a tar. */
  | { readonly kind: 'stream'; readonly stream: Writable };

/**
 * Reads `-o FILE|DIR`: a folder if it is one, ends in a slash, or has to take several artifacts;
 * otherwise a file. Throws UsageError `OUTPUT_NOT_A_FOLDER`.
 */
export async function resolveOutput(path: string, count: number): Promise<Output> {
  const found = await statOrNothing(stat, path);
  if (found?.isDirectory() || (!found && path.endsWith('/'))) return { kind: 'folder', path };
  if (count === 1 && !path.endsWith('/')) return { kind: 'file', path };
  if (!found) return { kind: 'folder', path };
  throw new UsageError(`${path} is a file, but ${count} artifacts are requested`, {
    code: 'OUTPUT_NOT_A_FOLDER',
    context: { output: path, artifacts: count },
    hint: 'name a folder with -o, or `-o -` for a tar on standard output',
  });
}

export interface PlannedFile {
  readonly file: MadeFile;
  readonly path: string;
  /** The right file is already there: it was just read, and its SHA-256 matches. */
  readonly present: boolean;
}

export interface PlanOptions {
  /** Replace existing files with other content. */
  readonly force: boolean;
  /** Write to a block device. */
  readonly forceDevice?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Decides every path before any work is done, and finds out which files already exist. Throws
 * IoError if the folder cannot be written to, UsageError `OUTPUT_EXISTS` for a file with other
 * content, `OUTPUT_CLASH` for two of one name.
 */
export async function planFiles(
  files: readonly MadeFile[],
  output: Exclude<Output, { kind: 'stream' }>,
  { force, forceDevice, signal }: PlanOptions,
): Promise<PlannedFile[]> {
  const [only] = files;
  if (only && output.kind === 'file' && (await isBlockDevice(output.path))) {
    return [await planDevice(only, output.path, { forceDevice })];
  }
  const folder = output.kind === 'folder' ? output.path : dirname(output.path);
  if (output.kind === 'folder') await makeFolder(folder);
  await refuseReadOnly(folder);
  // The schema admits bare names only; basename is a second safeguard.
  const pathOf = ({ name }: MadeFile) =>
    output.kind === 'file' ? output.path : join(output.path, basename(name));
  refuseClashes(files.map(pathOf));
  const planned: PlannedFile[] = [];
  for (const file of files) {
    const path = pathOf(file);
    const present = await isPresent(path, file, { force, signal });
    const size = file.size ?? (present ? (await statOrNothing(lstat, path))?.size : undefined);
    planned.push({ file: { ...file, size }, path, present });
  }
  // A run that was killed after its last file had its name may have left the temporary name of it.
  if (planned.some(({ present }) => present)) await tidyFolder(folder);
  return planned;
}

/** Throws UsageError `DEVICE` unless the image is a disk that the device can take. */
async function planDevice(
  file: MadeFile,
  path: string,
  { forceDevice }: Pick<PlanOptions, 'forceDevice'>,
): Promise<PlannedFile> {
  if (!forceDevice) {
    throw new UsageError(`${path} is a block device, and everything on it would be lost`, {
      code: 'DEVICE',
      context: { device: path },
      hint: 'to overwrite it, name it with -o and add --force-device',
    });
  }
  const { artifact } = file;
  if (artifact.container !== 'raw' || file.compressed) {
    throw new UsageError(`${file.name} is not a raw disk image: it would not boot from a device`, {
      code: 'DEVICE',
      context: { device: path, container: artifact.container },
      hint: 'choose --platform metal, or another platform whose image is raw',
    });
  }
  await checkDeviceFor(path, deviceImageOf(artifact));
  return { file, path, present: false };
}

export function deviceImageOf({ size, sha256, format }: RecipeArtifact): DeviceImage {
  return { size, sha256, sectorSize: format.startsWith('4k') ? 4096 : 512 };
}

/** Throws UsageError `OUTPUT_CLASH` if a path, or a name in a tar, occurs twice. */
export function refuseClashes(paths: readonly string[]): void {
  const taken = new Set<string>();
  for (const path of paths) {
    if (taken.has(path)) {
      throw new UsageError(`two artifacts would both be written to ${path}`, {
        code: 'OUTPUT_CLASH',
        context: { path },
        hint: 'rehydrate them one at a time',
      });
    }
    taken.add(path);
  }
}

async function isPresent(
  path: string,
  { size, sha256 }: MadeFile,
  { force, signal }: PlanOptions,
): Promise<boolean> {
  const found = await statOrNothing(lstat, path);
  if (!found) return false;
  if (found.isFile() && (size === undefined || found.size === size)) {
    const { sha256: actual } = await hashFile(path, { signal });
    if (actual === sha256) return true;
  }
  // The rename would replace a device or pipe instead of writing to it.
  if (force && (found.isFile() || found.isSymbolicLink())) return false;
  throw new UsageError(`${path} already exists with different content`, {
    code: 'OUTPUT_EXISTS',
    context: { path },
    hint: found.isFile() ? 'choose another -o, or replace it with --force' : 'choose another -o',
  });
}

/** Fails now rather than after the boot. */
async function refuseReadOnly(folder: string): Promise<void> {
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw osError(error, 'write to', folder);
  }
}

async function statOrNothing(look: typeof stat, path: string) {
  try {
    return await look(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw osError(error, 'look at', path);
  }
}
