import { constants } from 'node:fs';
import { type FileHandle, open, readFile, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { IntegrityError, throwIfAborted, UsageError } from '../errors.ts';
import { formatBytes } from '../text/bytes.ts';
import { createHasher, type Sha256 } from './digest.ts';
import { punchHole, seekEnd } from './libc.ts';
import { errnoOf, osError } from './os-error.ts';
import type { Sink } from './sink.ts';
import { zeroChunks } from './zero.ts';

/** The image to write to a device. */
export interface DeviceImage {
  /** Bytes. */
  readonly size: number;
  readonly sha256: Sha256;
  /** Sector size of the disk in the image: 512 or 4096. */
  readonly sectorSize: number;
}

/** Whether a path is a block device. */
export async function isBlockDevice(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isBlockDevice() ?? false;
}

/** The start of a disk, erased after a failure so that it cannot boot, as coreos-installer does. */
const ERASED = 1 << 20;

/**
 * Writes an image to a block device, and reads it back. The device must be a whole disk that is large enough, has the
 * image's sector size, and is not in use: the kernel refuses an exclusive open of a device that is mounted
 * or has a mounted partition. Zeros are discarded if the device then reads as zeros, and written otherwise.
 * After a failure the start of the disk is erased. Throws UsageError `DEVICE`, IntegrityError `DEVICE_DIGEST`.
 */
export async function writeDevice<T>(
  path: string,
  image: DeviceImage,
  body: (sink: Sink) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  let result: T;
  {
    await using handle = await openExclusively(path);
    await checkDevice(handle, path, image);
    try {
      const sink = deviceSink(handle, path);
      result = await body(sink);
      await handle.sync();
    } catch (error) {
      await erase(handle);
      throw osError(error, 'write', path);
    }
  }
  // Closing has dropped the kernel's cache, so this reads the device itself.
  await using handle = await openExclusively(path);
  const found = await readBack(handle, path, image.size, signal).catch(async (error: unknown) => {
    await erase(handle);
    throw osError(error, 'read back', path);
  });
  if (found === image.sha256) return result;
  await erase(handle);
  throw new IntegrityError(`${path} does not return the bytes that were written to it`, {
    code: 'DEVICE_DIGEST',
    context: { device: path, expected: image.sha256, found },
    hint: 'the device is failing: use another one',
  });
}

/** Throws UsageError `DEVICE`, before any work, if the device cannot take the image. */
export async function checkDeviceFor(path: string, image: DeviceImage): Promise<void> {
  await using handle = await openExclusively(path);
  await checkDevice(handle, path, image);
}

async function openExclusively(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDWR | constants.O_EXCL);
  } catch (error) {
    if (errnoOf(error) !== 'EBUSY') throw osError(error, 'open', path);
    throw refused(
      path,
      'it is in use',
      'unmount its file systems, and stop any other program that uses it',
      error,
    );
  }
}

async function checkDevice(
  handle: FileHandle,
  path: string,
  { size, sectorSize }: DeviceImage,
): Promise<void> {
  if (!(await handle.stat()).isBlockDevice()) {
    throw refused(path, 'it is not a block device', 'leave --force-device out');
  }
  const has = seekEnd(handle.fd);
  if (has < size) {
    const sizes = `it has ${formatBytes(has)}, the image ${formatBytes(size)}`;
    throw refused(path, `it is too small: ${sizes}`, 'choose a larger disk');
  }
  const known = join('/sys/class/block', basename(await realpath(path)));
  if (await readFile(join(known, 'partition')).catch(() => undefined)) {
    throw refused(path, 'it is a partition', 'name the whole disk');
  }
  const text = await readFile(join(known, 'queue/logical_block_size'), 'utf8').catch(() => '');
  const sectors = Number(text.trim());
  if (sectors > 0 && sectors !== sectorSize) {
    const better = sectors === 4096 ? 'the 4k image: --format 4k.raw' : 'the image without 4k';
    throw refused(
      path,
      `its sectors have ${sectors} bytes, those of the image ${sectorSize}`,
      `choose ${better}`,
    );
  }
}

function refused(path: string, why: string, hint: string, cause?: unknown): UsageError {
  return new UsageError(`cannot write to the device ${path}: ${why}`, {
    code: 'DEVICE',
    context: { device: path },
    hint,
    cause,
  });
}

/** Writes from the start of the device; every byte is set, whatever was there. */
function deviceSink(handle: FileHandle, path: string): Sink {
  let position = 0;
  const write = async (chunk: Uint8Array) => {
    try {
      for (let at = 0; at < chunk.length; ) {
        const { bytesWritten } = await handle.write(chunk, at, chunk.length - at, position + at);
        at += bytesWritten;
      }
    } catch (error) {
      throw osError(error, 'write', path);
    }
    position += chunk.length;
  };
  return {
    write,
    async zeros(length) {
      // Only whole sectors can be discarded; Linux does so only if they then read as zeros.
      const start = Math.ceil(position / SECTOR) * SECTOR;
      const end = Math.floor((position + length) / SECTOR) * SECTOR;
      if (end - start < SECTOR || !punchHole(handle.fd, start, end - start)) {
        for (const chunk of zeroChunks(length)) await write(chunk);
        return;
      }
      const rest = position + length - end;
      for (const chunk of zeroChunks(start - position)) await write(chunk);
      position = end;
      for (const chunk of zeroChunks(rest)) await write(chunk);
    },
  };
}

/** Alignment that every device accepts. */
const SECTOR = 4096;

async function readBack(
  handle: FileHandle,
  path: string,
  size: number,
  signal: AbortSignal | undefined,
): Promise<Sha256> {
  const hasher = createHasher();
  const buffer = Buffer.allocUnsafe(1 << 20);
  while (hasher.bytes < size) {
    throwIfAborted(signal);
    const length = Math.min(buffer.length, size - hasher.bytes);
    const { bytesRead } = await handle.read(buffer, 0, length, hasher.bytes);
    if (bytesRead === 0) throw new Error(`${path} ends early`);
    hasher.update(buffer.subarray(0, bytesRead));
  }
  return hasher.digest();
}

/** Does as much as a device that has just failed allows. */
async function erase(handle: FileHandle): Promise<void> {
  try {
    await handle.write(Buffer.alloc(ERASED), 0, ERASED, 0);
    await handle.sync();
  } catch {
    // The first error is the one that matters.
  }
}
