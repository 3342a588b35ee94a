import { createWriteStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { cancelled, FormatError } from '../../core/errors.ts';
import { osError } from '../../core/io/os-error.ts';
import { openRegular } from '../../core/io/regular.ts';
import { makeScratch, reclaimScratch } from '../../core/io/scratch.ts';
import type { IsoExtent, LiveIso } from '../../formats/iso/live-iso.ts';

/** A private folder for the temporary files of one regeneration. Removed on dispose. */
export interface Workdir extends AsyncDisposable {
  readonly path: string;
  readonly kernel: string;
  readonly initrd: string;
}

const PREFIX = 'iso-rehydrate-vm-';
/** A Unix socket's address holds 107 bytes, and ours have at most this many after the folder. */
const MAX_FOLDER = 107 - `${PREFIX}XXXXXX/qmp-kvm.sock/`.length;

/**
 * Makes the folder and copies kernel and initrd out of the ISO, because QEMU needs them as files. The ISO
 * itself is not changed. Throws {@link FormatError} if the ISO is shorter than it claims.
 */
export async function createWorkdir(iso: LiveIso, signal?: AbortSignal): Promise<Workdir> {
  const parent = Buffer.byteLength(tmpdir()) <= MAX_FOLDER ? tmpdir() : '/tmp';
  await reclaimScratch(join(parent, PREFIX));
  const scratch = await makeScratch(join(parent, PREFIX)).catch((error: unknown) => {
    throw osError(error, 'make a temporary folder in', parent);
  });
  const { path } = scratch;
  const remove = () => scratch[Symbol.asyncDispose]();
  try {
    const kernel = join(path, 'kernel');
    const initrd = join(path, 'initrd');
    await extract(iso, iso.kernel, kernel, signal);
    await extract(iso, iso.initrd, initrd, signal);
    return { path, kernel, initrd, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function extract(iso: LiveIso, extent: IsoExtent, target: string, signal?: AbortSignal) {
  const short = (length: number) =>
    new FormatError(`${extent.path} extends beyond the end of ${iso.path}`, {
      code: 'ISO_SHORT',
      context: { path: iso.path, offset: extent.offset, length: extent.length, got: length },
      hint: 'the ISO is truncated: download it again',
    });
  const { offset, length } = extent;
  if (offset < 0 || length <= 0 || offset + length > iso.size) throw short(0);
  const handle = await openRegular(iso.path, { signal });
  const input = handle.createReadStream({ start: offset, end: offset + length - 1 });
  const output = createWriteStream(target, { flags: 'wx', mode: 0o600 });
  try {
    await pipeline(input, output, signal ? { signal } : {});
  } catch (error) {
    if (signal?.aborted) throw cancelled(signal);
    throw osError(error, `copy ${extent.path} of ${iso.path} to`, target);
  }
  if (output.bytesWritten !== length) throw short(output.bytesWritten);
}
