import type { Container } from '../../../images/platforms.ts';
import type { BundleWriter } from '../../bundle/write.ts';
import { HEAD_BYTES } from '../../codec/codec.ts';
import type { CodecPool } from '../../codec/pool.ts';
import type { ReleasedLayer } from '../../codec/released/layer.ts';
import { bytesToRuns, type DiskRun, sourceRuns } from '../../core/io/disk-run.ts';
import { hashSource } from '../../core/io/hash-file.ts';
import { hashingSink } from '../../core/io/sink.ts';
import { openSource, type Source } from '../../core/io/source.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { inPhase } from '../../core/progress/step.ts';
import { type ReleasedFile, readReleasedOnce } from '../../release/files/released.ts';
import type { FoundFile } from './checks.ts';
import { containerOf, containerProbe } from './probe.ts';
import { detectCodec } from './take-apart.ts';
import { type WatchOptions, watchLayer } from './watch-layer.ts';

/** An open released file: its uncompressed bytes and, at the end, their digests. */
export interface OpenFile extends AsyncDisposable {
  /** Random access, for taking it apart; undefined if the bytes are only streamed. */
  readonly source: Source | undefined;
  /** The bytes front to back. Without a `source`, they can be read only once. */
  runs(): AsyncIterable<DiskRun>;
  /** Digests and sizes. Without a `source`, available only after `runs` has ended. */
  found(): Promise<FoundFile>;
  /** Likewise. */
  container(): Container;
  /** Likewise: how the bytes are compressed to the file, if that can be done again. */
  layer(): ReleasedLayer | undefined;
}

export interface OpenFileOptions extends Pick<WatchOptions, 'kinds' | 'blocks'> {
  /** Approximate uncompressed size of the file in bytes. */
  readonly about: number;
  readonly writer: Pick<BundleWriter, 'addScratch'>;
  readonly pool: CodecPool;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
  /** For progress. */
  readonly subject: string;
}

/**
 * An uncompressed file is used in place, while a thread hashes it. A compressed one is read once: it is
 * unpacked to a temporary file if it begins like a container with a codec; otherwise its bytes are only
 * streamed.
 */
export async function openFile(file: ReleasedFile, options: OpenFileOptions): Promise<OpenFile> {
  if (file.compression === 'none') return openInPlace(file, options);
  const watch = await watchLayer(file, options);
  const { target, fileDigest } = readReleasedOnce(file, options.signal);
  const probe = containerProbe(watch.watch(target));
  const { head, ...peeked } = await peek(probe.chunks, watch).catch(async (error: unknown) => {
    await watch[Symbol.asyncDispose]();
    throw error;
  });
  const reading = { ...peeked, fileDigest, container: probe.container, layer: watch.layer };
  return detectCodec(head) === undefined
    ? openPassing(reading, options)
    : unpack(file, reading, options);
}

/** A compressed file while it is read. */
interface Reading extends AsyncDisposable {
  /** Uncompressed. */
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly fileDigest: ReturnType<typeof readReleasedOnce>['fileDigest'];
  container(): Container;
  layer(): ReleasedLayer | undefined;
}

async function openInPlace({ path }: ReleasedFile, options: OpenFileOptions): Promise<OpenFile> {
  const source = await openSource(path, options.signal);
  // If the work fails, stop the thread that reads the file.
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  try {
    const container = await containerOf(source);
    const hashing = options.pool.hashing(source.size, signal);
    const found = hashSource(source, { hashing, signal }).then((sha256) => {
      const target = { sha256, size: source.size };
      return { file: target, target };
    });
    found.catch(() => {}); // rethrown when awaited
    return {
      source,
      runs: () => sourceRuns(source, options.signal),
      found: () => found,
      container: () => container,
      layer: () => undefined,
      async [Symbol.asyncDispose]() {
        stop.abort();
        await found.catch(() => {});
        hashing[Symbol.dispose]();
        await source.close();
      },
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function unpack(
  file: ReleasedFile,
  opened: Reading,
  { about, writer, pool, signal, progress, subject }: OpenFileOptions,
): Promise<OpenFile> {
  await using reading = opened;
  const { source: unpacked, result: target } = await writer.addScratch((scratch) =>
    // How long the file will be is not known before its end.
    inPhase(progress, { subject, phase: 'read' }, async (onBytes) => {
      using out = hashingSink(scratch, pool.hashing(about, signal));
      for await (const chunk of reading.chunks) {
        await out.write(chunk);
        onBytes(out.bytes);
      }
      return { sha256: await out.digest(), size: out.bytes };
    }),
  );
  const source = { ...unpacked, name: file.path };
  const found = { file: reading.fileDigest(target), target };
  return {
    source,
    runs: () => sourceRuns(source, signal),
    found: async () => found,
    container: reading.container,
    layer: reading.layer,
    [Symbol.asyncDispose]: unpacked.close,
  };
}

function openPassing(reading: Reading, { about, pool, signal }: OpenFileOptions): OpenFile {
  const hashing = pool.hashing(about, signal);
  async function* hashed() {
    for await (const chunk of reading.chunks) {
      await hashing.update(chunk);
      yield chunk;
    }
  }
  const digests = async () => {
    const { bytes: size } = hashing;
    const target = { size, sha256: await hashing.digest() };
    return { file: reading.fileDigest(target), target };
  };
  let found: Promise<FoundFile> | undefined;
  return {
    source: undefined,
    runs: () => bytesToRuns(hashed()),
    found() {
      found ??= digests();
      return found;
    },
    container: reading.container,
    layer: reading.layer,
    async [Symbol.asyncDispose]() {
      await reading[Symbol.asyncDispose]();
      hashing[Symbol.dispose]();
    },
  };
}

/** Peeks at the first bytes of a stream and returns the whole stream, which disposes of `watch` too. */
async function peek(chunks: AsyncIterable<Uint8Array>, watch: AsyncDisposable) {
  const iterator = chunks[Symbol.asyncIterator]();
  const dispose = async () => {
    try {
      await iterator.return?.();
    } finally {
      await watch[Symbol.asyncDispose]();
    }
  };
  const first: Uint8Array[] = [];
  let length = 0;
  let ended = false;
  while (length < HEAD_BYTES && !ended) {
    const next = await iterator.next();
    ended = next.done === true;
    if (next.done) break;
    first.push(next.value);
    length += next.value.length;
  }
  async function* whole() {
    try {
      for (const chunk of first.splice(0)) yield chunk;
      while (!ended) {
        const next = await iterator.next();
        if (next.done) return;
        yield next.value;
      }
    } finally {
      await dispose();
    }
  }
  const head = Buffer.concat(first).subarray(0, HEAD_BYTES);
  return { head, chunks: whole(), [Symbol.asyncDispose]: dispose };
}
