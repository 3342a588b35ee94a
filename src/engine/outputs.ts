import { type FileHandle, open, unlink } from 'node:fs/promises';
import { osError } from '../core/io/os-error.ts';
import type { MetalDisk } from './engine.ts';

/** The raw disks in the making, from creation to success or removal. */
export interface Outputs extends AsyncDisposable {
  /** Empties them again for a second attempt. */
  reset(): Promise<void>;
  /** Flushes them to disk. */
  sync(): Promise<void>;
  /** From now on disposal leaves the files. */
  keep(): void;
}

/** Creates each output, sparse and at its full size. None may exist before. */
export async function createOutputs(disks: readonly MetalDisk[]): Promise<Outputs> {
  const files: { readonly handle: FileHandle; readonly disk: MetalDisk }[] = [];
  let kept = false;
  const each = async (doing: string, work: (handle: FileHandle, size: number) => Promise<void>) => {
    for (const { handle, disk } of files) {
      await work(handle, disk.osmet.diskSize).catch((error: unknown) => {
        throw osError(error, doing, disk.output);
      });
    }
  };
  const grow = () => each('set the size of', (handle, size) => handle.truncate(size));
  const dispose = async () => {
    for (const { handle, disk } of files.splice(0)) {
      await handle.close();
      // Remove only files that we created.
      if (!kept) await unlink(disk.output).catch(() => {});
    }
  };
  try {
    for (const disk of disks) {
      const handle = await open(disk.output, 'wx').catch((error: unknown) => {
        throw osError(error, 'create', disk.output);
      });
      files.push({ handle, disk });
    }
    await grow();
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    async reset() {
      await each('empty', (handle) => handle.truncate(0));
      await grow();
    },
    sync: () => each('flush', (handle) => handle.sync()),
    keep() {
      kept = true;
    },
    [Symbol.asyncDispose]: dispose,
  };
}
