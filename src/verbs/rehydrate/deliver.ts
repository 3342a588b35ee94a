import { lstat } from 'node:fs/promises';
import type { Bundle } from '../../bundle/read.ts';
import { baseOf, blobsOf } from '../../bundle/recipes.ts';
import type { CodecPool } from '../../codec/pool.ts';
import type { BlockMemo } from '../../codec/released/context.ts';
import { FormatError, IntegrityError, IoError } from '../../core/errors.ts';
import { writeAtomically } from '../../core/io/atomic.ts';
import { isBlockDevice, writeDevice } from '../../core/io/device.ts';
import { hashFile } from '../../core/io/hash-file.ts';
import type { Sink } from '../../core/io/sink.ts';
import type { Source } from '../../core/io/source.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import type { Keys } from '../../release/download/signature.ts';
import type { MadeFile } from '../make/made-file.ts';
import { checkMade, writeMade } from '../make/write-made.ts';
import type { Bases } from './bases.ts';
import { deviceImageOf } from './output.ts';
import type { Planned } from './plan.ts';
import type { StreamOutput } from './stream-output.ts';

/** How an artifact was delivered. */
export interface Outcome {
  /** Undefined if it went to a stream. */
  readonly path: string | undefined;
  /** `present`: the file existed already, and was read and proved. */
  readonly status: 'written' | 'present';
  /** Seconds to write and verify it, bases not counted. */
  readonly seconds: number;
}

export interface DeliverOptions {
  readonly bundle: Bundle;
  readonly bases: Bases;
  readonly pool: CodecPool;
  /** Blocks of .xz files that were compressed before, in this run. */
  readonly blocks?: BlockMemo | undefined;
  /** The output of artifacts without a path. */
  readonly stream: StreamOutput | undefined;
  /** Replace an existing file. */
  readonly force: boolean;
  /** Check the signatures of the release. */
  readonly keyring?: Keys | undefined;
  readonly signal: AbortSignal | undefined;
  readonly progress: Progress;
  /** For progress. */
  readonly subject: string;
}

/** Makes an artifact at its destination, unless it is already there. */
export async function deliver(
  { file, path, present }: Planned,
  options: DeliverOptions,
): Promise<Outcome> {
  if (present) {
    const { keyring } = options;
    if (keyring) await checkMade(path, { ...options, file, keyring });
    return { path, status: 'present', seconds: 0 };
  }
  if (path === undefined) {
    return { path, status: 'written', seconds: await sendOnce(file, options) };
  }
  try {
    return { path, status: 'written', seconds: await writeFile(file, path, options) };
  } catch (error) {
    // Another run may have put the same file there in the meantime.
    const isTaken = error instanceof IoError && error.code === 'EXISTS';
    if (!isTaken || !(await isRight(path, file, options))) throw error;
    return { path, status: 'present', seconds: 0 };
  }
}

async function isRight(
  path: string,
  { size, sha256 }: MadeFile,
  { signal }: DeliverOptions,
): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  if (!found?.isFile() || found.size !== size) return false;
  return (await hashFile(path, { signal })).sha256 === sha256;
}

/** A wrong result may be due to a corrupted cached disk: then tries once more with a new disk. */
async function writeFile(file: MadeFile, path: string, options: DeliverOptions): Promise<number> {
  const { bases, force, signal } = options;
  const name = baseOf(file.artifact);
  // It was checked before, when the work was planned.
  const isDevice = await isBlockDevice(path);
  const writeTo = (base: Source) =>
    writeDevice(
      path,
      deviceImageOf(file.artifact),
      (sink) => makeFile(file, base, sink, options),
      signal,
    );
  const writeFileFrom = (base: Source) =>
    writeAtomically(path, (sink) => makeFile(file, base, sink, options), {
      signal,
      overwrite: force,
      size: file.size ?? 0,
      allocates: allocatedBy(file),
    });
  const write = isDevice ? writeTo : writeFileFrom;
  const base = bases.get(name);
  try {
    return await write(base);
  } catch (error) {
    if (!isDoubtful(error)) throw error;
    if (!(await bases.doubt(name, base, { remake: true }))) throw error;
  }
  return write(bases.get(name));
}

/** Bytes that it takes on disk at least: compressed containers and the ISO have no holes. */
function allocatedBy({ artifact, compressed, size = 0 }: MadeFile): number {
  const { recipe } = artifact;
  if (recipe.kind === 'iso' || compressed) return size;
  const dense = recipe.kind === 'container' && recipe.layers.some(({ codec }) => DENSE.has(codec));
  return dense ? size : 0;
}

const DENSE: ReadonlySet<string> = new Set(['vmdk', 'deflate']);

/** Bytes in the pipe cannot be taken back, but the next run must not use the same bad disk. */
async function sendOnce(file: MadeFile, options: DeliverOptions): Promise<number> {
  const { bases, stream } = options;
  if (stream === undefined) throw new Error('an artifact without a path goes to a stream');
  const name = baseOf(file.artifact);
  const base = bases.get(name);
  try {
    return await stream.send(file, (sink) => makeFile(file, base, sink, options));
  } catch (error) {
    if (isDoubtful(error)) await bases.doubt(name, base, { remake: false });
    throw error;
  }
}

function isDoubtful(error: unknown): boolean {
  return error instanceof IntegrityError || error instanceof FormatError;
}

/** One pass that patches, writes and hashes. Resolves to the seconds it took. */
async function makeFile(
  file: MadeFile,
  base: Source,
  sink: Sink,
  { bundle, pool, blocks, keyring, signal, progress, subject }: DeliverOptions,
): Promise<number> {
  const { artifact } = file;
  const phase = blobsOf(artifact.recipe).length > 0 ? 'patch' : 'copy';
  const { seconds } = await step(progress, { subject, phase, total: artifact.size }, (onBytes) =>
    writeMade({ file, bundle, base, sink, pool, blocks, keyring, signal, onBytes }),
  );
  return seconds;
}
