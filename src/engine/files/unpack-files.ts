import { availableParallelism } from 'node:os';
import { setImmediate as breathe } from 'node:timers/promises';
import { cancelled, throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import type { RootFile } from '../../formats/rootfs/root-files.ts';
import { batches } from '../native/batches.ts';
import { type PlannedUnit, unitOf } from '../native/plan.ts';
import { createCrew, type Thread } from '../native/workers/crew.ts';

/** A file of a root image, and the offset of its contents in the output. */
export interface PlacedFile {
  readonly path: string;
  readonly file: RootFile;
  readonly offset: number;
}

export interface UnpackFilesOptions {
  /** The file that holds the root image. */
  readonly image: string;
  /** A sparse file that exists and is all holes where contents go. */
  readonly output: string;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stored bytes processed so far. */
  readonly onBytes?: ((done: number, total: number) => void) | undefined;
}

/** More threads would wait for the disk, and each takes some 40 MiB. */
const MAX_UNPACKERS = 4;
const DEPTH = 2;
const MAX_COPIES = 2_000_000;
const BREATH = 512;

/** Writes the contents of files to their offsets; each unit of the image is unpacked once. */
export async function unpackFiles(
  files: readonly PlacedFile[],
  { image, output, threads, signal, onBytes }: UnpackFilesOptions,
): Promise<void> {
  const queue = batches(await planFiles(files, signal));
  if (queue.length === 0) return;
  const storedOf = (units: readonly PlannedUnit[]) =>
    units.reduce((sum, { stored }) => sum + stored, 0);
  const total = queue.reduce((sum, units) => sum + storedOf(units), 0);
  const ended = Promise.withResolvers<void>();
  let next = 0;
  let left = queue.length;
  let done = 0;
  const give = (thread: Thread) => {
    const units = queue[next];
    if (units !== undefined) thread.post({ id: next++, units });
  };
  await using crew = createCrew();
  const stop = new Promise<never>((_, reject) => {
    signal?.addEventListener('abort', () => reject(cancelled(signal)), { once: true });
  });
  const wanted = Math.min(threads ?? availableParallelism(), MAX_UNPACKERS, queue.length);
  const members = Array.from({ length: wanted }, () => {
    const thread: Thread = crew.start(
      { role: 'unpack', iso: image, outputs: [output] },
      (reply) => {
        if (reply.kind !== 'unpacked') return;
        done += storedOf(queue[reply.id] ?? []);
        onBytes?.(done, total);
        give(thread);
        if (--left === 0) ended.resolve();
      },
    );
    return thread;
  });
  for (let i = 0; i < DEPTH; i++) for (const thread of members) give(thread);
  await Promise.race([ended.promise, crew.failed, stop]);
}

async function planFiles(
  files: readonly PlacedFile[],
  signal: AbortSignal | undefined,
): Promise<PlannedUnit[]> {
  const units = new Map<number, PlannedUnit>();
  let copies = 0;
  for (const [index, { path, file, offset }] of files.entries()) {
    if (index % BREATH === 0) {
      await breathe(); // reads of metadata block
      throwIfAborted(signal);
    }
    for (const { start, length, unit, unitOffset } of file.pieces(0, file.size)) {
      if (++copies > MAX_COPIES) throw tooMany();
      unitOf(units, unit, path).copies.push({
        ...{ unitOffset, length: Math.min(length, file.size - start) },
        ...{ disk: 0, diskOffset: offset + start },
      });
    }
  }
  return [...units.values()].sort((a, b) => a.offset - b.offset);
}

function tooMany(): UnsupportedError {
  return new UnsupportedError('the files are in too many pieces', {
    code: 'FILES_TOO_MANY',
    context: { limit: MAX_COPIES },
    hint: 'name a container image of the same release with --container',
  });
}
