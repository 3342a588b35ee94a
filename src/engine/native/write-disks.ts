import { type FileHandle, open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { cancelled, throwIfAborted } from '../../core/errors.ts';
import { isSha256, type Sha256 } from '../../core/io/digest.ts';
import { osError } from '../../core/io/os-error.ts';
import type { Osmet } from '../../formats/iso/osmet-types.ts';
import type { MetalDisk } from '../engine.ts';
import { batches } from './batches.ts';
import { dataRanges } from './data-ranges.ts';
import { type PlannedUnit, unmappedRanges } from './plan.ts';
import { createWatermark, type Watermark } from './watermark.ts';
import { type Crew, createCrew, type Thread } from './workers/crew.ts';

/** More threads would wait for the disk, and each takes some 40 MiB. */
const MAX_UNPACKERS = 4;
/** Batches in progress per thread: one being processed, one waiting. */
const DEPTH = 2;

export interface WriteDisksOptions {
  readonly iso: string;
  readonly disks: readonly MetalDisk[];
  /** One for each disk. */
  readonly osmets: readonly Osmet[];
  /** The units to unpack; threads that do not need them start before it resolves. */
  readonly plan: () => Promise<readonly PlannedUnit[]>;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stored bytes of the root image processed so far. */
  readonly onUnpacked: (done: number, total: number) => void;
  /** All data is written; only hashing is left. */
  readonly onWritten: () => void;
  /** Bytes of all disks that are hashed. */
  readonly onHashed: (done: number) => void;
}

/**
 * Writes existing disks that are all holes, and reads each back for its SHA-256, following the writers as
 * far as the disk is complete. Resolves to the digests, in the order of the disks.
 */
export async function writeDisks(options: WriteDisksOptions): Promise<Sha256[]> {
  const { iso, disks, osmets, signal } = options;
  await using crew = createCrew();
  const stop = new Promise<never>((_, reject) => {
    signal?.addEventListener('abort', () => reject(cancelled(signal)), { once: true });
  });
  stop.catch(() => {});
  const orElse = <T>(work: Promise<T>) => Promise.race([work, crew.failed, stop]);
  throwIfAborted(signal);

  await using files = await openAll(disks);
  const hashers = startHashers(crew, files.descriptors, options);
  const fillers = disks.map(async ({ osmet, output }, disk) => {
    const read = osmets[disk];
    if (read === undefined) throw new Error(`no osmet for disk ${disk}`);
    const ended = Promise.withResolvers<void>();
    const start = osmet.offset + read.xzOffset;
    const end = osmet.offset + osmet.length;
    const ranges = unmappedRanges(read);
    crew.start({ role: 'fill', iso, name: osmet.name, start, end, output, ranges }, (reply) => {
      if (reply.kind !== 'filled') return;
      hashers.filled(disk, reply.upTo);
      if (reply.upTo === Number.POSITIVE_INFINITY) ended.resolve();
    });
    return ended.promise;
  });
  const units = await orElse(options.plan());
  hashers.planned(createWatermark(disks.length, units));
  await orElse(Promise.all([unpackAll(crew, units, options, hashers), ...fillers]));
  options.onWritten();
  return await orElse(hashers.digests); // without await the threads would be terminated
}

/** Hands batches to threads until all are done. */
async function unpackAll(
  crew: Crew,
  units: readonly PlannedUnit[],
  { iso, disks, threads, onUnpacked }: WriteDisksOptions,
  hashers: Hashers,
): Promise<void> {
  const queue = batches(units);
  const total = units.reduce((sum, { stored }) => sum + stored, 0);
  const ended = Promise.withResolvers<void>();
  if (queue.length === 0) return;
  let next = 0;
  let left = queue.length;
  let done = 0;
  const give = (thread: Thread) => {
    const batch = queue[next];
    if (batch !== undefined) thread.post({ id: next++, units: batch });
  };
  const wanted = Math.min(threads ?? availableParallelism(), MAX_UNPACKERS, queue.length);
  const outputs = disks.map(({ output }) => output);
  const crewOf = Array.from({ length: wanted }, () => {
    const thread: Thread = crew.start({ role: 'unpack', iso, outputs }, (reply) => {
      if (reply.kind !== 'unpacked') return;
      const batch = queue[reply.id] ?? [];
      done += batch.reduce((sum, { stored }) => sum + stored, 0);
      onUnpacked(done, total);
      hashers.unpacked(batch);
      give(thread);
      if (--left === 0) ended.resolve();
    });
    return thread;
  });
  for (let i = 0; i < DEPTH; i++) for (const thread of crewOf) give(thread);
  await ended.promise;
}

interface Hashers {
  planned(watermark: Watermark): void;
  filled(disk: number, upTo: number): void;
  unpacked(units: readonly PlannedUnit[]): void;
  readonly digests: Promise<Sha256[]>;
}

/** One hashing thread per disk, with messages about how far it may read. */
function startHashers(
  crew: Crew,
  descriptors: readonly number[],
  { disks, onHashed }: WriteDisksOptions,
): Hashers {
  const ends = disks.map(() => Promise.withResolvers<Sha256>());
  const hashed = disks.map(() => 0);
  const told = disks.map(() => 0);
  const threads = disks.map(({ osmet, output }, disk) =>
    crew.start({ role: 'hash', output, size: osmet.diskSize }, (reply) => {
      if (reply.kind !== 'hashed') return;
      hashed[disk] = reply.upTo;
      onHashed(hashed.reduce((sum, bytes) => sum + bytes, 0));
      if (reply.sha256 !== undefined && isSha256(reply.sha256)) ends[disk]?.resolve(reply.sha256);
    }),
  );
  let watermark: Watermark | undefined;
  // Reports of the fillers from before the units are known.
  const early = disks.map(() => 0);
  const tell = () => {
    for (const [disk, thread] of threads.entries()) {
      const upTo = watermark?.of(disk) ?? 0;
      const before = told[disk] ?? 0;
      if (upTo <= before) continue;
      told[disk] = upTo;
      const end = Math.min(upTo, disks[disk]?.osmet.diskSize ?? 0);
      thread.post({ upTo, data: dataRanges(descriptors[disk] ?? -1, before, end) });
    }
  };
  return {
    planned(known) {
      watermark = known;
      for (const [disk, upTo] of early.entries()) known.filled(disk, upTo);
      tell();
    },
    filled(disk, upTo) {
      early[disk] = upTo;
      watermark?.filled(disk, upTo);
      tell();
    },
    unpacked(units) {
      watermark?.unpacked(units);
      tell();
    },
    digests: Promise.all(ends.map(({ promise }) => promise)),
  };
}

/** The disks, opened to find their data regions. */
async function openAll(disks: readonly MetalDisk[]) {
  const handles: FileHandle[] = [];
  const close = async () => {
    for (const handle of handles.splice(0)) await handle.close();
  };
  try {
    for (const { output } of disks) handles.push(await open(output, 'r'));
  } catch (error) {
    await close();
    throw osError(error, 'open', disks[handles.length]?.output ?? '');
  }
  return { descriptors: handles.map(({ fd }) => fd), [Symbol.asyncDispose]: close };
}
